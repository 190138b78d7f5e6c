/** Every table that holds rows of a slot: what a move copies, compares and purges. */
import { tables } from '@millrace/domain';

export interface SlotTable {
  readonly name: string;
  /** The primary key after the slot. */
  readonly key: readonly { readonly column: string; readonly type: 'text' | 'bigint' | 'stream' }[];
}

const BY_OFFSET = [
  { column: 'stream', type: 'stream' },
  { column: 'offset', type: 'bigint' },
] as const;

export const JOURNAL: SlotTable = { name: 'journal', key: BY_OFFSET };
export const PARKED: SlotTable = { name: 'parked', key: BY_OFFSET };

export const slotTables: readonly SlotTable[] = [
  JOURNAL,
  PARKED,
  ...tables.map(({ name, key }) => ({ name, key: key.map((column) => ({ column, type: 'text' as const })) })),
];
