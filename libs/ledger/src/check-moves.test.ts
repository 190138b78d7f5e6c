/** The checker over slots that move or moved: who holds them, and what their moves leave behind. */
import { describe, expect, test } from '@jest/globals';
import type { ShardId } from '@millrace/write';
import { checkLedger, NO_ROWS } from './check.ts';
import type { OpenMove } from './moves.ts';
import { A, B, OWNERS, structuredCloneOf, worldOf, type MutableRows, type MutableStream } from './testing/world.ts';
import { formatVerdict } from './verdict.ts';

describe('a slot that moves, or moved', () => {
  const states = (world: ReturnType<typeof worldOf>): { slot: number; owner: ShardId; other: ShardId; own: MutableRows; place: (rows: Partial<MutableRows>, writes?: Partial<MutableStream>) => void } => {
    const slot = world.slot('acc-1');
    const owner = OWNERS[slot]!;
    const other = owner === A ? B : A;
    return { slot, owner, other, own: world.at('acc-1'), place(rows, writes = {}) {
        const empty = structuredCloneOf(NO_ROWS);
        const streams = rows.streams ?? empty.streams;
        world.shard(other).set(slot, { ...empty, ...rows, streams: { ...streams, writes: { ...streams.writes, ...writes } } });
      },
    };
  };
  const move = ({ slot, owner, other }: { slot: number; owner: ShardId; other: ShardId }): OpenMove => ({ slot, source: other, target: owner });

  test('a signpost with its position is no fault', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.own.slotState!.epoch = 2n;
    at.place({ slotState: { state: 'MOVED', epoch: 1n, movedTo: at.owner } }, { position: { nextOffset: 3n, relayedOffset: 3n } });
    expect(checkLedger(world)).toMatchObject({ clean: true, moving: 0, movingRows: 0 });
  });

  test('a row left behind on the shard that it came from is found, unless the move is still open', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.own.slotState!.epoch = 2n;
    at.place({ slotState: { state: 'MOVED', epoch: 1n, movedTo: at.owner }, accounts: [{ ...at.own.accounts[0]! }] });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongShard: 1 });
    expect(verdict.differences[0]).toMatchObject({ shard: at.other, slot: at.slot, actual: '1 rows in account, the first demo/acc-1' });
    const open = checkLedger({ ...world, moves: [move(at)] });
    expect(open).toMatchObject({ clean: true, moving: 1, movingRows: 1 });
    expect(formatVerdict(open)).toContain('1 slots moving (1 rows of theirs under way)');
    expect(checkLedger({ ...world, moves: [{ ...move(at), slot: at.slot + 1 }] }).wrongShard).toBe(1);
    expect(checkLedger({ ...world, moves: [{ ...move(at), source: 'c' as ShardId }] }).wrongShard).toBe(1);
  });

  test('a record on two shards', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place({}, { journal: [{ ...at.own.streams.writes.journal[0]! }] });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongShard: 1 });
  });

  test('two shards that both hold a slot as active', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place({ slotState: { state: 'ACTIVE', epoch: 2n, movedTo: null } });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences[0]).toMatchObject({ slot: at.slot, expected: 'one shard that holds the slot' });
    expect(checkLedger({ ...world, moves: [move(at)] }).wrongSlot).toBe(1);
  });

  test('a slot that no shard holds', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    Object.assign(at.own.slotState!, { state: 'ABORTED' });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences.at(-1)).toMatchObject({ shard: at.owner, actual: `shard ${at.owner}: ABORTED, epoch 1` });
    at.place({ slotState: { state: 'ABORTED', epoch: 1n, movedTo: null } });
    expect(checkLedger({ ...world, moves: [move(at)] }).wrongSlot).toBe(1);
  });

  test('a slot that another shard holds than the topology names, unless the move is still open', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place(at.own);
    rest.shard(at.owner).set(at.slot, { ...structuredCloneOf(NO_ROWS), slotState: { state: 'MOVED', epoch: 0n, movedTo: at.other } });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1, wrongShard: 0, lost: 0 });
    expect(verdict.differences[0]).toMatchObject({ shard: at.other, expected: `shard ${at.owner} holds the slot, as the topology says` });
    expect(checkLedger({ ...world, moves: [move(at)] })).toMatchObject({ clean: true, moving: 1 });
    expect(checkLedger({ ...world, moves: [{ slot: at.slot, source: at.owner, target: 'c' as ShardId }] }).wrongSlot).toBe(1);
  });

  test.each<['MOVING' | 'INCOMING']>([['MOVING'], ['INCOMING']])('%s is a state of an open move only', (state) => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    if (state === 'MOVING') at.own.slotState!.state = state;
    else at.place({ slotState: { state, epoch: 2n, movedTo: null } });
    const verdict = checkLedger(world);
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1 });
    expect(verdict.differences[0]!.actual).toContain(state);
    expect(checkLedger({ ...world, moves: [move(at)] }).clean).toBe(true);
  });

  test('an epoch that is not below that of the shard that holds the slot', () => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    at.place({ slotState: { state: 'MOVED', epoch: 1n, movedTo: at.owner } });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongSlot: 1 });
  });

  test('a slot that does not exist', () => {
    const { world, shard } = worldOf();
    shard(A).set(99, { ...structuredCloneOf(NO_ROWS), slotState: { state: 'ACTIVE', epoch: 1n, movedTo: null } });
    expect(checkLedger(world)).toMatchObject({ clean: false, wrongSlot: 1 });
  });

  test.each(['changed', 'incoming'])('rows in %s, once no move of the slot is open', (table) => {
    const { world, ...rest } = worldOf();
    const at = states({ world, ...rest });
    const shards = world.shards.map((snapshot) => (snapshot.shard === at.other ? { ...snapshot, notes: [{ slot: at.slot, table, rows: 3n, sample: '7' }] } : snapshot));
    const verdict = checkLedger({ ...world, shards });
    expect(verdict).toMatchObject({ clean: false, moveLeftovers: 3, differencesFound: 1 });
    expect(formatVerdict(verdict)).toContain('3 leftovers of moves');
    expect(checkLedger({ ...world, shards, moves: [move(at)] })).toMatchObject({ clean: true, moving: 1, movingRows: 3 });
  });
});
