/** What the local API refuses of its own; the codes that every API has are those of @millrace/wire. */

const REFUSALS = {
  unknown_local_shard: { status: 404, title: 'The local cluster runs no such shard', action: 'See `shards` in cluster.json.' },
  shard_is_member: { status: 409, title: 'The shard is a member still', action: 'Take it out first: millrace ring remove SHARD.' },
  shard_holds_slots: { status: 409, title: 'The database still holds slots as their owner', action: 'Wait for its moves to end; see them with millrace ring status.' },
  too_many_shards: { status: 409, title: 'The local cluster runs no more shards than this', action: 'Remove one first: millrace ring remove SHARD.' },
  only_shard: { status: 409, title: 'A cluster has at least one shard', action: 'Add another one first: millrace ring add.' },
  shard_not_started: { status: 500, title: 'The Postgres of the shard did not start', action: 'Read the reason in `detail` and the log; then ask again.' },
  membership_unknown: { status: 503, title: 'The control database does not answer', action: 'Nothing was changed. Ask again when it is up.' },
  cluster_stopping: { status: 503, title: 'The cluster is stopping', action: 'Start it again first: npm start.' },
} as const;

export type RefusalCode = keyof typeof REFUSALS;

/** Nothing was changed, but for `shard_not_started`: its empty data may be there, and is used by the next attempt. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  readonly retryable = false;

  constructor(code: RefusalCode, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }

  /** As RFC 9457 has it. */
  problem(): { readonly type: string; readonly title: string; readonly status: number; readonly code: string; readonly action: string; readonly detail: string } {
    const { status, title, action } = REFUSALS[this.code];
    return { type: `urn:millrace:problem:${this.code}`, title, status, code: this.code, action, detail: this.message };
  }
}
