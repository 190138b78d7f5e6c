/** Arguments of the saga commands, checked before anything is asked. For commander. */
import { parseSagaId } from '@millrace/domain';
import { InvalidArgumentError } from 'commander';

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const SECONDS_MAX = 365 * 86_400;

/** `90`, `90s`, `5m`, `2h`, `1d`, in seconds. */
export function duration(text: string): number {
  const [, count = '', unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  const seconds = Number(count) * (UNIT_SECONDS[unit] ?? NaN);
  if (count !== '' && seconds <= SECONDS_MAX) return seconds;
  throw new InvalidArgumentError('Expected a time such as 90s, 5m, 2h or 1d, at most a year.');
}

export function sagaId(text: string): string {
  if (parseSagaId(text) !== undefined) return text;
  throw new InvalidArgumentError('Expected the id of a saga: tenant/order/order, tenant/order/return/ID, tenant/id/transfer. See `millrace sagas list`.');
}
