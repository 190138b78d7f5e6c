/** Whether a slot still moves that is written as fast as its shard can. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench, Report } from '../harness/bench.ts';
import { findAlways } from '../harness/findings.ts';
import { createInstallation, fund, type Installation } from '../harness/installation.ts';
import type { Filler } from '../harness/kafka.ts';
import { checkpoint } from '../harness/postgres.ts';
import { atMsOf, type Move } from '../harness/ring.ts';
import { interleave, type Measure } from '../harness/rounds.ts';
import { keysOf } from '../harness/slot-rows.ts';
import { stallsOf } from '../harness/stalls.ts';
import type { Span } from '../harness/stands.ts';
import { watchSlots, type Advance } from '../harness/watch.ts';
import { accountOf, captureRecord, recordKeyOf } from '../writes.ts';

const SLOTS = 64;
const RUN = 'h00';
/** Of the backlog: applied before anything is measured. */
const WARMUP_SHARE = 0.1;
/** The slot is watched for so long before the move and behind its activation. */
const BESIDE_MS = 1_000;
const APPLIED_TIMEOUT_MS = 5 * 60_000;
const POLL_MS = 20;

export async function moveHot(bench: Bench): Promise<Report> {
  const results = await interleave([{ name: 'millrace', measure: (round) => measure(bench, round) }], bench.options.rounds);
  return {
    name: 'move-hot',
    title: 'A slot written at full rate',
    method: `A backlog of ${bench.options.records} records, all of one slot of ${SLOTS}, applied as fast as one writer can; when a tenth is applied, the slot moves from shard a to b. It counts as moved under load where the target was activated before the backlog ended. Stalls as in \`move-stall\`.`,
    columns: [
      { metric: 'seconds', title: 'seconds' },
      { metric: 'rounds', title: 'rounds' },
      { metric: 'rows', title: 'rows copied' },
      { metric: 'beforePerSecond', title: 'applied/s before' },
      { metric: 'duringPerSecond', title: 'applied/s during the move' },
      { metric: 'left', title: 'backlog at activation' },
      { metric: 'toldMs', title: 'told stall ms' },
      { metric: 'crossingMs', title: 'outside, across the fence ms' },
      { metric: 'fenceMs', title: 'outside stall ms' },
      { metric: 'moveMs', title: 'longest wait of the whole move ms' },
    ],
    results,
    findings: [findAlways({ what: 'moved while its backlog lasted', outcomes: results.flatMap(({ measures }) => measures).map(({ left = 0 }) => left > 0) })],
  };
}

async function measure(bench: Bench, round: number): Promise<Measure> {
  const installation = await createInstallation(bench, { name: `move-hot-${round}`, slots: SLOTS });
  const { ring, urlOf, appliedOf } = installation;
  const slot = (await ring.owners()).indexOf('a');
  const end = await fillBacklog(bench, installation, slot);
  const urls = ['a', 'b'].map(urlOf);
  const watch = await watchSlots(urls);
  watch.follow([slot]);
  await installation.startWriter();
  await untilAt(installation, slot, end - bench.options.records * (1 - WARMUP_SHARE));
  const fromMs = Date.now();
  await delay(BESIDE_MS);
  const asked = await ring.move(slot, 'b');
  const move = await ring.until(asked, ({ progress }) => progress.activated_at !== undefined);
  await delay(BESIDE_MS);
  // What stood still then has gone on.
  await untilAt(installation, slot, Math.min(end, (await appliedOf(slot)) + 1));
  const watched = await watch.stop();
  const [stall] = await stallsOf({ urls, watched, moves: [move], load: { fromMs, toMs: Number.POSITIVE_INFINITY } });
  await installation.remove();
  return { ...courseOf(move, watched.advances.get(slot) ?? [], { fromMs, end }), ...stall };
}

/** Every account is funded, and what follows is of one slot. Where its log ends then. */
async function fillBacklog({ servers, options }: Bench, installation: Installation, slot: number): Promise<number> {
  const writer = await installation.startWriter();
  await fund(installation);
  await writer.stop();
  const funded = await installation.appliedOf(slot);
  await installation.fill(capturesOf(slot, options.records));
  await checkpoint(servers.postgres);
  return funded + options.records;
}

function* capturesOf(slot: number, records: number): Iterable<Filler> {
  const keys = new Set(keysOf(slot, SLOTS));
  for (let i = 0, made = 0; made < records; i++) {
    if (!keys.has(recordKeyOf(accountOf(i)))) continue;
    yield captureRecord(RUN, i);
    made += 1;
  }
}

async function untilAt({ appliedOf }: Installation, slot: number, position: number): Promise<void> {
  const deadline = performance.now() + APPLIED_TIMEOUT_MS;
  while ((await appliedOf(slot)) < position) {
    if (performance.now() > deadline) throw new Error(`slot ${slot} stands at ${await appliedOf(slot)}, before ${position}`);
    await delay(POLL_MS);
  }
}

function courseOf(move: Move, advances: readonly Advance[], { fromMs, end }: { readonly fromMs: number; readonly end: number }): Measure {
  const [startedAtMs, activatedAtMs] = [atMsOf(move, 'started'), atMsOf(move, 'activated')];
  const { rounds, rows } = move.progress;
  return {
    seconds: (activatedAtMs - startedAtMs) / 1000,
    rounds,
    rows,
    beforePerSecond: rateWithin(advances, { fromMs, toMs: startedAtMs }),
    duringPerSecond: rateWithin(advances, { fromMs: startedAtMs, toMs: activatedAtMs }),
    left: end - positionAt(advances, activatedAtMs),
  };
}

function rateWithin(advances: readonly Advance[], { fromMs, toMs }: Span): number {
  return ((positionAt(advances, toMs) - positionAt(advances, fromMs)) * 1000) / (toMs - fromMs);
}

function positionAt(advances: readonly Advance[], atMs: number): number {
  return advances.findLast((advance) => advance.atMs <= atMs)?.position ?? Number.NaN;
}
