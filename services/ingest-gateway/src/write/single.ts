/**
 * POST of one write: the hot path.
 *
 * It runs in front of express and avoids what costs per request: one body reader, one shared timer, prebuilt answers.
 * Order: headers, admission, body, schema, memory of recent writes, lanes, answer. The 202 is written only when Kafka
 * holds the record (acks=all).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Lanes } from '@millrace/kafka';
import type { Log } from '@millrace/runtime';
import { bodyHashOf, encodeReceipt, IDEMPOTENCY_KEY_PATTERN, type BodyHash, type Receipt, type Tenant } from '@millrace/write';
import type { ApiKeys } from '../auth/api-keys.ts';
import { Refusal, sendJson, sendRefusal } from '../http/answer.ts';
import { bodyTooLarge, tooMuchInFlight, type BodyReader } from '../http/body.ts';
import { pathOf } from '../http/path.ts';
import { refusesContent, unauthorized } from '../http/preamble.ts';
import { waitMsOf } from '../http/prefer.ts';
import type { Limits } from '../limits.ts';
import type { Metrics, RouteMetrics } from '../metrics.ts';
import type { Outcomes } from '../read/outcomes.ts';
import { statusJson } from '../read/status-json.ts';
import { produceRefusal, type Admission } from './admission.ts';
import type { InFlight } from './in-flight.ts';
import { isFirstOfItsKey } from './misuse.ts';
import { matchWrite, writeOf, writePaths, type MatchedWrite } from './paths.ts';
import { parseFields, prepareWrite, type PreparedWrite } from './prepare.ts';
import type { RecentWrite, RecentWrites } from './recent.ts';

export interface SingleWrites {
  /** Takes the request where it is a POST of a single write; false where it is not. */
  handle(req: IncomingMessage, res: ServerResponse): boolean;
}

export interface SingleWritesOptions {
  readonly keys: ApiKeys;
  readonly admission: Admission;
  readonly inFlight: InFlight;
  readonly bodies: BodyReader;
  readonly recent: RecentWrites;
  readonly lanes: Lanes;
  readonly outcomes: Outcomes;
  /** S. */
  readonly slots: number;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly draining: () => boolean;
}

/** What is known of a request once its headers are checked. */
interface Intake {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly match: MatchedWrite;
  readonly metrics: RouteMetrics;
  readonly tenant: Tenant;
  readonly idempotencyKey: string;
  readonly startedAtMs: number;
}

const JSON_TYPE_PATTERN = /^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i;

export function createSingleWrites(options: SingleWritesOptions): SingleWrites {
  const { keys, admission, inFlight, bodies, recent, lanes, outcomes, slots, limits, log, draining } = options;
  const metricsOf = new Map(writePaths.map((path) => [path, options.metrics.route(`POST ${path.template}`)]));

  function handle(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.method !== 'POST' || req.url === undefined) return false;
    const match = matchWrite(pathOf(req.url));
    const metrics = match && metricsOf.get(match.path);
    if (!match || !metrics) return false;
    const startedAtMs = performance.now();
    const tenant = keys.tenantOf(req.headers.authorization);
    const refusal = tenant === undefined ? unauthorized() : refusesHeaders(req);
    if (refusal) {
      metrics.refused(refusal);
      bodies.refuse(req, res, refusal);
    } else if (tenant !== undefined) {
      const idempotencyKey = String(req.headers['idempotency-key']);
      receive({ req, res, match, metrics, tenant, idempotencyKey, startedAtMs });
    }
    return true;
  }

  function refusesHeaders(req: IncomingMessage): Refusal | undefined {
    const { headers } = req;
    const idempotencyKey = headers['idempotency-key'];
    if (typeof idempotencyKey !== 'string' || !IDEMPOTENCY_KEY_PATTERN.test(idempotencyKey)) return new Refusal('idempotency_key_required');
    const length = headers['content-length'];
    if (length !== undefined && Number(length) > limits.bodyBytesMax) return bodyTooLarge(limits);
    return refusesContent(req, JSON_TYPE_PATTERN, 'application/json') ?? admission.refusesEarly() ?? (inFlight.takeRecord() ? undefined : tooMuchInFlight());
  }

  function receive(intake: Intake): void {
    let open = true;
    // Whatever ends the answer, also the client going away, gives the place back once.
    intake.res.once('close', () => {
      if (open) inFlight.giveRecord();
      open = false;
    });
    bodies.read(intake.req, intake.res, (text, refusal) => {
      if (refusal) {
        intake.metrics.refused(refusal);
        bodies.refuse(intake.req, intake.res, refusal);
        return;
      }
      const write = prepare(intake, text);
      if (write instanceof Refusal) refuse(intake, write);
      else accept(intake, write);
    });
  }

  function prepare({ match, tenant, idempotencyKey }: Intake, text: string): PreparedWrite | Refusal {
    const body = text === '' ? {} : parseFields(text);
    if (body instanceof Refusal) return body;
    const write = writeOf(match, body);
    if (write instanceof Refusal) return write;
    return prepareWrite(tenant, write.writeType, { idempotencyKey, data: write.data, slots });
  }

  function accept(intake: Intake, write: PreparedWrite): void {
    const bodyHash = bodyHashOf(write.value);
    const before = recent.find(write.digest);
    if (before === undefined) produce(intake, write, bodyHash);
    else if (before.bodyHash === bodyHash) answer(intake, before.receipt, { ...write, offset: before.offset }, 'repeated');
    else refuseMisuse(intake, write, { bodyHash, before }).catch((error: unknown) => fail(intake, error));
  }

  /** 409 only where the shard confirms it; in doubt the write goes to Kafka and its outcome tells. */
  async function refuseMisuse(intake: Intake, write: PreparedWrite, { bodyHash, before }: { readonly bodyHash: BodyHash; readonly before: RecentWrite }): Promise<void> {
    const bytes = write.value.length;
    // The body is held while the shard is asked: where there is no room for that, it is not asked.
    if (inFlight.takeBytes(bytes)) {
      const misused = await isFirstOfItsKey(intake.tenant, { ...write, offset: before.offset }, { outcomes, log });
      inFlight.giveBytes(bytes);
      if (misused) {
        refuse(intake, new Refusal('idempotency_mismatch', undefined, { extra: { receipt: before.receipt } }));
        return;
      }
    }
    produce(intake, write, bodyHash);
  }

  function produce(intake: Intake, write: PreparedWrite, bodyHash: BodyHash): void {
    const refusal = admission.refusesProduce();
    if (refusal) {
      refuse(intake, refusal);
      return;
    }
    lanes
      .send(write)
      .then(
        ({ offset }) => {
          const receipt = encodeReceipt(intake.tenant, { slot: write.slot, offset, digest: write.digest });
          recent.add(write.digest, { bodyHash, receipt, offset });
          intake.metrics.acked(performance.now() - intake.startedAtMs);
          answer(intake, receipt, { slot: write.slot, digest: write.digest, offset }, 'accepted');
        },
        (error: unknown) => {
          const unknown = produceRefusal(error);
          log.warn({ slot: write.slot, digest: write.digest, code: unknown.document.code, error }, 'a write did not get through to Kafka');
          refuse(intake, unknown);
        },
      )
      .catch((error: unknown) => fail(intake, error));
  }

  function answer(intake: Intake, text: string, receipt: Receipt, outcome: 'accepted' | 'repeated'): void {
    if (log.isLevelEnabled('debug')) log.debug({ receipt: text, slot: receipt.slot, offset: receipt.offset, outcome }, 'write acknowledged');
    const prefer = intake.req.headers.prefer;
    const waitMs = prefer === undefined ? undefined : waitMsOf(prefer, limits.waitMsMax);
    intake.metrics.count(outcome);
    if (waitMs === undefined || waitMs === 0) sendAccepted(intake.res, text);
    else waitAndAnswer(intake, text, receipt, waitMs).catch((error: unknown) => fail(intake, error));
  }

  /** 200 with the outcome where it comes in time, 202 otherwise: the write is accepted in any case. */
  async function waitAndAnswer({ res, tenant }: Intake, text: string, receipt: Receipt, waitMs: number): Promise<void> {
    const status = await outcomes.wait(tenant, receipt, waitMs);
    if (status === undefined || status.status === 'accepted') sendAccepted(res, text);
    else sendJson(res, 200, statusJson(text, status), ['Preference-Applied', 'wait', ...closing()]);
  }

  function sendAccepted(res: ServerResponse, receipt: string): void {
    const body = `{"receipt":"${receipt}","status":"accepted"}`;
    sendJson(res, 202, body, ['Location', `/v1/writes/${receipt}`, ...closing()]);
  }

  /** One request fails, not the process with all that is in flight. */
  function fail(intake: Intake, error: unknown): void {
    log.error({ path: intake.match.path.template, error }, 'a write failed on an error of ours');
    refuse(intake, new Refusal('internal'));
  }

  function refuse(intake: Intake, refusal: Refusal): void {
    intake.metrics.refused(refusal);
    sendRefusal(intake.res, refusal, { close: draining() });
  }

  function closing(): readonly string[] {
    return draining() ? CLOSE : NOTHING;
  }

  return { handle };
}

const CLOSE = ['Connection', 'close'];
const NOTHING: readonly string[] = [];
