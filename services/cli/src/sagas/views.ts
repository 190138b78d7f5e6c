/** Sagas as lines for people. Pure. */
import { table } from '../table.ts';
import type { Saga, SagaList, SagaSummary } from './schemas.ts';

const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 24 * HOUR_SECONDS;

export function listText({ sagas, next, silent_shards: silent }: SagaList, { filtered }: { readonly filtered: boolean }): string {
  const lines = sagas.length === 0 ? [filtered ? 'no saga fits' : 'every saga has ended'] : table([['saga', 'state', 'age', 'waits for'], ...sagas.map(rowOf)]);
  const more = next === undefined ? [] : ['There are more: --limit shows them.'];
  return [...lines, ...more, ...silent.map(({ shard, reason }) => `Shard ${shard} does not answer, its sagas are not listed: ${reason}`)].join('\n');
}

export function sagaText(saga: Saga): string {
  const { id, kind, state, shard, slot, started_at: started, due_at: due, attempt, reason, parts, history, because } = saga;
  return [
    `${id}: ${kind}, ${state}${reason === undefined ? '' : ` (${reason}${factsOf(saga)})`}`,
    `  shard ${shard}, slot ${slot}, started ${started}${due === undefined ? '' : `, undone unless all is held by ${due}`}${attempt === 0 ? '' : `, sent again ${attempt} times`}`,
    ...(because === undefined ? [] : [`  its own key does not get on: ${because.detail}`]),
    ...history.map(({ state: at, at: when }) => `  ${when}  ${at}`),
    ...table([['participant', 'terms', 'answered'], ...parts.map((part) => [part.participant, termsOf(part), answeredOf(part)])]),
    ...saga.waits_for.map(({ participant, step, shard: on, because: why }) => `  waits for ${participant} to ${step}${on === undefined ? '' : `, on shard ${on}`}${why === undefined ? '' : `: ${why.detail}`}`),
  ].join('\n');
}

function rowOf(saga: SagaSummary): readonly string[] {
  const { id, state, reason, age_seconds: age, changed_at: changed } = saga;
  return [id, reason === undefined ? state : `${state} (${reason})`, age === undefined ? changed : ageText(age), waitsText(saga)];
}

function waitsText({ waits_for: waits, waits_for_more: more, because }: SagaSummary): string {
  const named = waits.map(({ participant, because: why }) => (why === undefined ? participant : `${participant} (${reasonText(why.reason)})`));
  const all = [...(because === undefined ? [] : [`itself (${reasonText(because.reason)})`]), ...named];
  return all.join(', ') + (more === undefined ? '' : ` and ${more} more`);
}

function reasonText(reason: string): string {
  return { key_parked: 'parked', shard_silent: 'its shard does not answer' }[reason] ?? reason;
}

function factsOf({ detail = {} }: SagaSummary): string {
  return Object.entries(detail)
    .map(([fact, value]) => `, ${fact} ${value}`)
    .join('');
}

function termsOf({ direction, amount, currency, quantity }: Saga['parts'][number]): string {
  return `${quantity ?? `${amount} ${currency}`} ${direction}`;
}

function answeredOf({ answered }: Saga['parts'][number]): string {
  return answered === undefined ? '' : answered ? 'yes' : 'no';
}

/** `42 s`, `7 min`, `3 h`, `2 d`: as exact as it matters. */
export function ageText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * HOUR_SECONDS) return `${Math.round(seconds / 60)} min`;
  return seconds < 2 * DAY_SECONDS ? `${Math.round(seconds / HOUR_SECONDS)} h` : `${Math.round(seconds / DAY_SECONDS)} d`;
}
