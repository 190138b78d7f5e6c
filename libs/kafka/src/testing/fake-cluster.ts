/** Brokers that fail on demand, behind the lanes' own links: what they store, by slot, is kept for the test to look at. */
import { assert } from '@millrace/write';
import type { BrokerLink } from '../broker-link.ts';
import { decodeBatches } from '../fetch-codec.ts';
import { NO_LEADER, type Leaders } from '../leaders.ts';
import type { BrokerAddress } from '../types.ts';

/** What becomes of a slot of a request: Kafka's error code, and whether the records are stored all the same. */
export interface Fate {
  readonly errorCode: number;
  readonly stored: boolean;
}

export const STORED: Fate = { errorCode: 0, stored: true };

export interface Request {
  readonly node: number;
  readonly slots: ReadonlyMap<number, readonly string[]>;
  /** How long the broker and the client wait for an answer. */
  readonly brokerTimeoutMs: number;
  readonly timeoutMs: number;
}

export interface FakeCluster {
  readonly stored: ReadonlyMap<number, readonly string[]>;
  readonly requests: readonly Request[];
  /** Who leads, in truth: others answer NOT_LEADER_OR_FOLLOWER. */
  readonly leaders: number[];
  findLeaders(): Leaders;
  connect(address: BrokerAddress): Promise<BrokerLink>;
  /** As brokers do with idle connections. */
  closeLinks(): void;
}

export interface Behaviour {
  readonly slots: number;
  readonly nodes: number;
  /** Before the request is looked at: it may be held here, and where this throws it has not reached the broker. */
  readonly onRequest?: (request: Request) => Promise<void> | void;
  readonly fateOf?: (slot: number, request: Request) => Fate;
  /** After it is stored: where this throws, the answer is lost. */
  readonly onAnswer?: (request: Request) => Promise<void> | void;
  readonly onConnect?: (node: number) => void;
}

const NOT_LEADER = 6;
const SCRATCH_BYTES = 1 << 20;

export function createFakeCluster(behaviour: Behaviour): FakeCluster {
  const stored = new Map<number, string[]>();
  const requests: Request[] = [];
  const leaders = Array.from({ length: behaviour.slots }, (_, slot) => slot % behaviour.nodes);
  /** Slots with a request under way: L1 and L2 allow one. */
  const busy = new Set<number>();
  const links = new Set<BrokerLink>();

  function store(request: Request): readonly Answer[] {
    return [...request.slots].map(([slot, values]) => {
      const fate = leaders[slot] === request.node ? (behaviour.fateOf?.(slot, request) ?? STORED) : { errorCode: NOT_LEADER, stored: false };
      const log = stored.get(slot) ?? [];
      stored.set(slot, log);
      const baseOffset = log.length;
      if (fate.stored) log.push(...values);
      return { slot, errorCode: fate.errorCode, baseOffset };
    });
  }

  async function answer(request: Request, correlationId: number): Promise<Buffer> {
    const slots = [...request.slots.keys()];
    for (const slot of slots) assert(!busy.has(slot), `slot ${slot} has one request under way`);
    for (const slot of slots) busy.add(slot);
    try {
      requests.push(request);
      await behaviour.onRequest?.(request);
      const answers = store(request);
      await behaviour.onAnswer?.(request);
      return encodeReply(correlationId, answers);
    } finally {
      for (const slot of slots) busy.delete(slot);
    }
  }

  function link(node: number): BrokerLink {
    const buffer = Buffer.alloc(SCRATCH_BYTES);
    let open = true;
    let usable = true;
    const self: BrokerLink = {
      scratch: () => buffer,
      request: async (frame, timeoutMs) => {
        assert(open && usable, 'one request in flight per connection, and none after one that failed');
        usable = false;
        const { correlationId, brokerTimeoutMs, slots } = decodeProduce(frame);
        const reply = await answer({ node, slots, brokerTimeoutMs, timeoutMs }, correlationId);
        usable = true;
        return reply;
      },
      isOpen: () => open,
      close: () => {
        open = false;
      },
    };
    links.add(self);
    return self;
  }

  return {
    stored,
    requests,
    leaders,
    findLeaders: () => ({
      bySlot: leaders.map((node) => (node < behaviour.nodes ? node : NO_LEADER)),
      addresses: new Map(Array.from({ length: behaviour.nodes }, (_, node) => [node, { host: 'fake', port: node }])),
    }),
    connect: ({ port: node }) => {
      behaviour.onConnect?.(node);
      return Promise.resolve(link(node));
    },
    closeLinks: () => {
      for (const each of links) each.close();
    },
  };
}

interface Answer {
  readonly slot: number;
  readonly errorCode: number;
  readonly baseOffset: number;
}

function encodeReply(correlationId: number, answers: readonly Answer[]): Buffer {
  const buffer = Buffer.alloc(4 + 4 + 2 + 4 + answers.length * 30);
  let at = buffer.writeInt32BE(correlationId, 0);
  at = buffer.writeInt32BE(1, at);
  at = buffer.writeInt16BE(0, at);
  at = buffer.writeInt32BE(answers.length, at);
  for (const { slot, errorCode, baseOffset } of answers) {
    buffer.writeInt32BE(slot, at);
    buffer.writeInt16BE(errorCode, at + 4);
    buffer.writeBigInt64BE(BigInt(baseOffset), at + 6);
    at += 30;
  }
  return buffer;
}

function decodeProduce(frame: Buffer): { readonly correlationId: number; readonly brokerTimeoutMs: number; readonly slots: ReadonlyMap<number, readonly string[]> } {
  const correlationId = frame.readInt32BE(8);
  let at = 12;
  at += 2 + frame.readInt16BE(at); // client id
  at += 2 + 2; // no transactional id, acks
  const brokerTimeoutMs = frame.readInt32BE(at);
  at += 4 + 4;
  at += 2 + frame.readInt16BE(at); // topic
  const slots = new Map<number, readonly string[]>();
  let count = frame.readInt32BE(at);
  for (at += 4; count > 0; count -= 1) {
    const slot = frame.readInt32BE(at);
    const end = at + 8 + frame.readInt32BE(at + 4);
    const batches = frame.subarray(at + 8, end);
    const { records } = decodeBatches({ slot, errorCode: 0, highWatermark: 0n, aborted: [], batches }, { from: 0n, to: 2n ** 62n });
    slots.set(slot, records.map(({ value }) => String(value)));
    at = end;
  }
  return { correlationId, brokerTimeoutMs, slots };
}
