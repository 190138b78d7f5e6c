/**
 * What all reads share: the tenant, the id, `?after=`, the deadline, the answer.
 *
 * A read is never older than the receipt in `?after=`. A receipt of the entity's own slot is checked in the statement
 * that reads the entity; one of another slot is waited for first, because all that the entity reads now is then newer.
 * What sagas make of orders and transfers is in stream `sagas`: there the receipt of a cancel, a return or a transfer has
 * passed when its saga has taken or refused it, so that the read shows it. What participants make of it comes later.
 */
import type { Database } from '@millrace/postgres';
import { ID_PATTERN, type Receipt, type Slot, type Tenant } from '@millrace/write';
import type { Request, RequestHandler } from 'express';
import type { ApiKeys } from '../auth/api-keys.ts';
import { Refusal, sendJson } from '../http/answer.ts';
import { tenantOrRefusal } from '../http/preamble.ts';
import { waitMsOf } from '../http/prefer.ts';
import type { Limits } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { FollowSlot } from '../read/follow.ts';
import type { InFlightReads } from '../read/in-flight-reads.ts';
import type { Outcomes } from '../read/outcomes.ts';
import type { SlotRow } from '../read/positions.sql.ts';
import { receiptOf } from '../read/receipt.ts';

/** One read as its route sees it. */
export interface ReadRequest {
  readonly tenant: Tenant;
  /** Of the path, or of the query: an id in its alphabet. @throws Refusal for another one. */
  id(parameter: string): string;
  /** Asks the shard that holds the slot, not before the receipt of `?after=`. */
  ask: AskSlot;
  /** The same, of what sagas change: not before they have answered the receipt's write. */
  askAnswered: AskSlot;
}

type AskSlot = <R extends SlotRow>(slot: Slot, query: (shard: Database) => Promise<R | undefined>) => Promise<R>;

export interface Reads {
  /** S. */
  readonly slots: number;
  /** A handler that answers 200 with the JSON that `read` returns, or 404 where it returns undefined. */
  handler(template: string, read: (request: ReadRequest) => Promise<string | undefined>): RequestHandler;
}

export interface ReadsOptions {
  readonly keys: ApiKeys;
  readonly follow: FollowSlot;
  readonly outcomes: Outcomes;
  readonly inFlight: InFlightReads;
  readonly slots: number;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly closing: () => readonly string[];
}

export function createReads({ keys, follow, outcomes, inFlight, slots, limits, metrics, closing }: ReadsOptions): Reads {
  function requestOf(req: Request): ReadRequest {
    const tenant = tenantOrRefusal(keys, req);
    if (tenant instanceof Refusal) throw tenant;
    const afterText = queryParameter(req, 'after', limits);
    const after = afterText === undefined ? undefined : receiptOf(tenant, afterText, slots);
    const waitMs = after ? (waitMsOf(req.headers.prefer, limits.waitMsMax) ?? limits.afterWaitMs) : limits.followMoveMs;
    const expiresAtMs = performance.now() + waitMs;
    const ask: AskSlot = async (slot, query) => {
      const own = await waitForOthers(slot, after, expiresAtMs);
      return follow.read(slot, query, { expiresAtMs, ...(own ? { after: own.offset } : {}) });
    };
    return {
      tenant,
      id: (parameter) => idOf(parameter, pathParameter(req, parameter) ?? queryParameter(req, parameter, limits)),
      ask,
      async askAnswered(slot, query) {
        // What goes on to a saga of another slot changes nothing here.
        if (after?.slot === slot) await outcomes.answered(tenant, after, expiresAtMs);
        return ask(slot, query);
      },
    };
  }

  /** The receipt, where it is of the slot that is read; otherwise its offset has passed. */
  async function waitForOthers(slot: Slot, after: Receipt | undefined, expiresAtMs: number): Promise<Receipt | undefined> {
    if (after === undefined || after.slot === slot) return after;
    await outcomes.passed(after.slot, after.offset, expiresAtMs);
    return undefined;
  }

  return {
    slots,
    handler(template, read) {
      const route = metrics.route(`GET ${template}`);
      return async (req, res) => {
        try {
          const request = requestOf(req);
          const json = await inFlight.hold(() => read(request));
          if (json === undefined) throw new Refusal('not_found');
          route.count('read');
          sendJson(res, 200, json, closing());
        } catch (error) {
          if (error instanceof Refusal) route.refused(error);
          throw error;
        }
      };
    },
  };
}

/** A query parameter that stands there once. @throws Refusal where it stands there twice or is too long. */
export function queryParameter(req: Request, name: string, { parameterCharsMax }: Limits): string | undefined {
  const value: unknown = req.query[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value.length > parameterCharsMax) throw new Refusal('invalid_parameter', name);
  return value;
}

function pathParameter(req: Request, name: string): string | undefined {
  const value = req.params[name];
  return typeof value === 'string' ? value : undefined;
}

function idOf(parameter: string, value: string | undefined): string {
  if (value === undefined || !ID_PATTERN.test(value)) throw new Refusal('invalid_parameter', `${parameter}: 1 to 64 visible ASCII characters without "/"`);
  return value;
}
