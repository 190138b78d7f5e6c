/** Problem documents (RFC 9457), all from one table: a stable type, a status, and what the client should do. */

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** What the client should do. */
  readonly action: string;
}

export const PROBLEMS = {
  malformed_request: { status: 400, title: 'The request is not HTTP as this server reads it', action: 'Send a complete, well-formed HTTP/1.1 request.' },
  malformed_json: { status: 400, title: 'The body is not JSON', action: 'Send one JSON object in UTF-8.' },
  invalid_body: { status: 400, title: 'The body does not fit the schema', action: 'Correct the fields that `errors` names.' },
  invalid_parameter: { status: 400, title: 'A path or query parameter is not valid', action: 'Correct the parameter that `detail` names.' },
  idempotency_key_required: { status: 400, title: 'The Idempotency-Key header is missing or not valid', action: 'Send 1 to 255 visible ASCII characters, the same on every retry of this write.' },
  invalid_receipt: { status: 400, title: 'Not a receipt of this tenant', action: 'Send the receipt as the 202 gave it.' },
  unauthorized: { status: 401, title: 'The API key is missing or unknown', action: 'Send `Authorization: Bearer KEY`.' },
  not_found: { status: 404, title: 'There is no such resource', action: 'Check the path and the id.' },
  method_not_allowed: { status: 405, title: 'The resource does not know this method', action: 'Use a method that `Allow` names.' },
  request_timeout: { status: 408, title: 'The request did not arrive in time', action: 'Send the whole request without pauses.' },
  idempotency_mismatch: { status: 409, title: 'The idempotency key was used with another body', action: 'Use a new key for a new write; send the same body to retry the old one.' },
  body_too_large: { status: 413, title: 'The body is over the limit', action: 'Send less, or use POST /v1/writes for many writes.' },
  headers_too_large: { status: 431, title: 'The headers are over the limit', action: 'Send fewer or shorter headers.' },
  unsupported_media_type: { status: 415, title: 'The body has a type or coding that is not accepted', action: 'Send the Content-Type that the resource names, uncompressed.' },
  too_many_requests: { status: 429, title: 'Too much is in flight', action: 'Retry with the same key after `Retry-After` seconds.' },
  kafka_unavailable: { status: 503, title: 'Kafka does not take writes now', action: 'Nothing was written. Retry with the same key after `Retry-After` seconds.' },
  produce_unknown: { status: 503, title: 'It is not known whether the write was accepted', action: 'Retry with the same key: it is applied once however often it arrives.' },
  draining: { status: 503, title: 'This process is shutting down', action: 'Retry with the same key: another process answers.' },
  shard_unavailable: { status: 503, title: 'The shard that holds this does not answer', action: 'Retry after `Retry-After` seconds. Accepted writes are safe.' },
  not_yet_applied: { status: 503, title: 'The write that the receipt names is not applied yet', action: 'Retry after `Retry-After` seconds.' },
  unknown_shard: { status: 404, title: 'There is no such shard', action: 'Name a member that `GET /v1/shards` shows; a new one needs its address in the shards file first.' },
  shard_exists: { status: 409, title: 'The shard is a member already', action: 'Change it with PATCH /v1/shards/{shard}.' },
  shard_owns_slots: { status: 409, title: 'The shard still owns slots', action: 'Drain it first: POST /v1/shards/{shard}/drain.' },
  moves_open: { status: 409, title: 'Moves from or to the shard are under way', action: 'Wait for them to end, or abort them: GET /v1/moves?open=true.' },
  shard_draining: { status: 409, title: 'The shard is to be emptied', action: 'Take another target, or keep the shard: PATCH /v1/shards/{shard} with state active.' },
  last_shard: { status: 409, title: 'The cluster would be left without a shard', action: 'Add a shard first.' },
  foreign_shard: { status: 409, title: 'The database belongs to another cluster, or to another shard', action: 'Give an empty database, or the right address.' },
  wrong_schema: { status: 409, title: 'The schema of the database is not the one of this version', action: 'Use a ring-manager of the version that made it, or an empty database.' },
  unknown_plan: { status: 404, title: 'There is no such plan', action: 'See GET /v1/plans.' },
  plan_outdated: { status: 409, title: 'The topology or the members have changed since the plan was made', action: 'Make a new plan: POST /v1/plans.' },
  plan_state: { status: 409, title: 'The plan is not in a state that allows this', action: 'See the state of the plan: GET /v1/plans/{id}.' },
  unknown_move: { status: 404, title: 'There is no such move', action: 'See GET /v1/moves.' },
  move_state: { status: 409, title: 'The move is not in a state that allows this', action: 'See the state of the move: GET /v1/moves/{id}.' },
  slot_moving: { status: 409, title: 'The slot is moving already', action: 'Wait for the move to end, or abort it.' },
  nothing_to_move: { status: 409, title: 'The slot is where it is to go', action: 'Nothing is to be done.' },
  unknown_saga: { status: 404, title: 'There is no such saga', action: 'See GET /v1/sagas: an order is `tenant/order/order`, a return `tenant/order/return/{return}`, a transfer `tenant/{transfer}/transfer`.' },
  already_ended: { status: 409, title: 'The saga has ended', action: 'Nothing is to be done.' },
  already_rejected: { status: 409, title: 'The saga is undone already, for another reason', action: 'Nothing is to be done: it ends as rejected.' },
  already_cancelled: { status: 409, title: 'The saga is cancelled already', action: 'Nothing is to be done: it ends as cancelled.' },
  too_late: { status: 409, title: 'The saga is past its pivot', action: 'It can only go forward. What an order has bought can be returned.' },
  saga_refused: { status: 409, title: 'The saga does not take this', action: 'See `detail`, and the saga: GET /v1/sagas/{id}.' },
  control_unavailable: { status: 503, title: 'The control database does not answer', action: 'Nothing is known to have changed. Retry after `Retry-After` seconds.' },
  internal: { status: 500, title: 'An error of ours', action: 'Retry with the same key; report the time and the path if it stays.' },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly action: string;
  readonly detail?: string;
  readonly [extra: string]: unknown;
}

/** The problem document of a code; `extra` adds members of its own, `detail` the facts of this case. */
export function problem(code: ProblemCode, detail?: string, extra: Readonly<Record<string, unknown>> = {}): Problem {
  const { status, title, action } = PROBLEMS[code];
  return { type: `urn:millrace:problem:${code}`, title, status, code, action, ...(detail === undefined ? {} : { detail }), ...extra };
}
