/** The rows of one slot on one shard that a move reads and changes. */
import type { Sql } from '@millrace/postgres';
import type { Epoch, Offset, ShardId, Slot, Stream } from '@millrace/write';
import type { SlotState } from '@millrace/ring';

export interface SideRow {
  readonly state: SlotState;
  readonly epoch: bigint;
  readonly moved_to: ShardId | null;
  readonly move: bigint | null;
  readonly token: bigint;
}

export interface PositionRow {
  readonly stream: Stream;
  readonly next_offset: Offset;
  readonly relayed_offset: Offset;
}

const SIDE = 'state, epoch, moved_to, move, token';

export function readSideRow(slot: Slot): Sql {
  return { name: 'move-side', text: `select ${SIDE} from slot where slot = $1`, values: [slot] };
}

/** R5: nobody else writes under this row until the transaction ends. */
export function lockSideRow(slot: Slot): Sql {
  return { name: 'move-side-lock', text: `select ${SIDE} from slot where slot = $1 for update`, values: [slot] };
}

/** Every stream, in one order: no turn of any stream is under way while they are held. */
export function lockPositionRows(slot: Slot): Sql {
  return {
    name: 'move-position-lock',
    text: 'select stream, next_offset, relayed_offset from position where slot = $1 order by stream for update',
    values: [slot],
  };
}

export function readPositionRows(slot: Slot): Sql {
  return { name: 'move-position', text: 'select stream, next_offset, relayed_offset from position where slot = $1 order by stream', values: [slot] };
}

/** A row for a slot that was never here, to be locked and changed. */
export function addSideRow(slot: Slot): Sql {
  return { name: 'move-side-add', text: `insert into slot (slot, state, epoch) values ($1, 'ABORTED', 0) on conflict do nothing`, values: [slot] };
}

export interface SideChange {
  readonly state: SlotState;
  readonly epoch: Epoch | bigint;
  readonly movedTo: ShardId | null;
  readonly move: bigint | null;
  readonly token: bigint;
}

/** A hold ends with every change of state. */
export function changeSideRow(slot: Slot, { state, epoch, movedTo, move, token }: SideChange): Sql {
  return {
    name: 'move-side-change',
    text: 'update slot set state = $2, epoch = $3, moved_to = $4, move = $5, token = $6, held_until = null where slot = $1',
    values: [slot, state, epoch, movedTo, move, token],
  };
}

export function writeToken(slot: Slot, token: bigint): Sql {
  return { name: 'move-token', text: 'update slot set token = $2 where slot = $1', values: [slot, token] };
}

/** No turn applies the slot for `holdMs`. No row where the move, the token or the state is another. */
export function holdSlot({ slot, move, token, holdMs }: { readonly slot: Slot; readonly move: bigint; readonly token: bigint; readonly holdMs: number }): Sql {
  return {
    name: 'move-hold',
    text: `update slot set held_until = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
           where slot = $1 and move = $2 and token = $3 and state = 'MOVING' returning slot`,
    values: [slot, move, token, holdMs],
  };
}

/** The positions that the source had at the fence: from them on the target applies. */
export function writePositions(slot: Slot, positions: readonly PositionRow[]): Sql {
  return {
    name: 'move-position-write',
    text: `insert into position (stream, slot, next_offset, relayed_offset)
           select u.stream, $1, u.next, u.relayed from unnest($2::stream[], $3::bigint[], $4::bigint[]) as u(stream, next, relayed)
           on conflict (stream, slot) do update set next_offset = excluded.next_offset, relayed_offset = excluded.relayed_offset`,
    values: [slot, positions.map((p) => p.stream), positions.map((p) => p.next_offset), positions.map((p) => p.relayed_offset)],
  };
}
