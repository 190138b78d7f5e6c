/**
 * What may be sent now. A write waits for the one before it of its own key, and for the writes so far of the keys
 * that it comes `after`; where all of them are settled it is ready.
 *
 * Pure. D1 of one key at most one batch is out at any time, and within a batch its writes stand in order. D2 a write
 * is ready only when everything that it waits for is settled: acked, or refused for good, and so is everything that
 * this waited for: in a batch, a later write of a key may be answered before an earlier one, which is sent again.
 * D3 a write that waits for the end of an order is ready only when it was opened, and is no part of another's run.
 */
import { assert, must } from '@millrace/write';
import { RUN_MIN } from '../limits.ts';
import { type Work, keyOf } from '../write.ts';

export interface Node {
  readonly work: Work;
  readonly key: string;
  /** Unsettled writes that this one waits for. */
  waits: number;
  state: 'waiting' | 'gated' | 'ready' | 'taken' | 'answered' | 'settled';
  /** Those that wait for this one. */
  readonly followers: Node[];
}

export interface Schedule {
  /** Works that are added and not settled. */
  size(): number;
  /** Ready writes of ordinary keys. */
  ready(): number;
  /** Ready writes of hot keys, each with the rest of its key behind it. */
  runs(): number;
  add(work: Work): void;
  /** The next write that waits for the end of an order alone: to be opened, or put back. */
  takeGated(): Node | undefined;
  putBack(node: Node): void;
  /** The order has ended. */
  open(node: Node): void;
  /**
   * Ready writes, at most `max` of them and `sameKeyMax` of one key. Hot keys come first, because they decide when
   * the whole ends; but where `takesRuns` they are left to those who take more than one of a key.
   */
  take(limits: { max: number; sameKeyMax: number }): Node[];
  /** The node is answered for good: settled as soon as all that it waits for is. */
  settle(node: Node): void;
}

interface Key {
  /** The newest write of the key. */
  last: Node;
  /** Its writes that are not settled. */
  pending: number;
}

/** `takesRuns`: some takers take more than one write of a key. */
export function createSchedule({ takesRuns }: { takesRuns: boolean }): Schedule {
  const keys = new Map<string, Key>();
  const ready = createQueue<Node>();
  const runs = createQueue<Node>();
  const gated = createQueue<Node>();
  let size = 0;

  const makeReady = (node: Node): void => {
    node.state = 'ready';
    const { pending } = must(keys.get(node.key), 'an unsettled write has a key');
    (pending >= RUN_MIN ? runs : ready).push(node);
  };
  const release = (node: Node): void => {
    if (!node.work.onceEnded) return makeReady(node);
    node.state = 'gated';
    gated.push(node);
  };
  const follow = (node: Node, before: Node | undefined): void => {
    if (!before) return;
    before.followers.push(node);
    node.waits++;
  };
  const complete = (node: Node): void => {
    node.state = 'settled';
    size--;
    const key = must(keys.get(node.key), 'an unsettled write has a key');
    key.pending--;
    if (key.pending === 0) keys.delete(node.key);
  };
  /** Completes the node, and every answered one that waited for it alone. */
  const completeFrom = (node: Node): void => {
    const done = [node];
    for (let next = done.pop(); next; next = done.pop()) {
      complete(next);
      for (const follower of next.followers) {
        follower.waits--;
        if (follower.waits > 0) continue;
        if (follower.state === 'waiting') release(follower);
        else if (follower.state === 'answered') done.push(follower);
      }
    }
  };
  return {
    size: () => size,
    ready: () => ready.size(),
    runs: () => runs.size(),
    add(work) {
      const name = keyOf(work.body);
      const node: Node = { work, key: name, waits: 0, state: 'waiting', followers: [] };
      for (const other of work.after ?? []) if (other !== name) follow(node, keys.get(other)?.last);
      const key = keys.get(name);
      follow(node, key?.last);
      if (key) Object.assign(key, { last: node, pending: key.pending + 1 });
      else keys.set(name, { last: node, pending: 1 });
      size++;
      if (node.waits === 0) release(node);
    },
    takeGated: () => gated.shift(),
    putBack: (node) => gated.push(node),
    open(node) {
      assert(node.state === 'gated', 'D3: what is opened waited for an order, and was opened once');
      makeReady(node);
    },
    take({ max, sameKeyMax }) {
      const [first, second] = takesRuns && sameKeyMax === 1 ? [ready, runs] : [runs, ready];
      const batch: Node[] = [];
      while (batch.length < max) {
        const node = first.shift() ?? second.shift();
        if (!node) break;
        takeRun(node, batch, { max, sameKeyMax });
      }
      return batch;
    },
    settle(node) {
      assert(node.state === 'taken', 'D2: what is settled was taken, once');
      node.state = 'answered';
      if (node.waits === 0) completeFrom(node);
    },
  };
}

/** Takes a node, and those of its key after it that wait for nothing else. */
function takeRun(first: Node, batch: Node[], { max, sameKeyMax }: { max: number; sameKeyMax: number }): void {
  let node: Node | undefined = first;
  for (let taken = 0; node && taken < sameKeyMax && batch.length < max; taken++) {
    node.state = 'taken';
    batch.push(node);
    node = nextOfKey(node);
  }
}

function nextOfKey({ key, followers }: Node): Node | undefined {
  return followers.find((each) => each.key === key && each.waits === 1 && each.state === 'waiting' && !each.work.onceEnded);
}

interface Queue<T> {
  size(): number;
  push(item: T): void;
  shift(): T | undefined;
}

/** First in, first out, without moving the rest at each `shift`. */
function createQueue<T>(): Queue<T> {
  let items: T[] = [];
  let head = 0;
  return {
    size: () => items.length - head,
    push: (item) => void items.push(item),
    shift() {
      if (head === items.length) return undefined;
      const item = items[head++];
      if (head > 1024 && head * 2 > items.length) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
  };
}
