/**
 * A TCP proxy with faults: what a network does to a connection, at a moment that the test chooses.
 *
 * Every fault holds for the connections there are and for those to come, until it is changed.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export type Direction = 'to-server' | 'to-client';

/** What to lose: the reply to the first request that matches. */
export interface LostReply {
  /** Sees the bytes of one read from the client, which are then forwarded. */
  readonly request: (bytes: Buffer) => boolean;
  /** Sees the bytes that were kept from the client so far: true where the reply is whole. Any byte without it. */
  readonly reply?: (bytes: Buffer) => boolean;
}

export interface FaultProxy {
  readonly host: string;
  readonly port: number;
  /** Delays every byte in both directions, order kept. */
  setLatency(ms: number): void;
  /** Swallows the bytes of these directions, with the connections left open: a half-open link. */
  setBlackhole(directions: readonly Direction[]): void;
  /** Closes new connections at once while true. */
  setRefusing(refusing: boolean): void;
  /** Resets all connections. */
  cut(): void;
  /** Arms the fault once: resolves when the reply was withheld and its connection reset. */
  loseNextReply(lost: LostReply): Promise<void>;
  connections(): number;
  close(): Promise<void>;
}

/** A Produce request of Kafka: api key 0 behind the length. */
export const kafkaProduce: LostReply = {
  request: (bytes) => bytes.length > 8 && bytes.readInt32BE(0) > 0 && bytes.readInt16BE(4) === 0 && bytes.readInt16BE(6) < 20,
};

/** A COMMIT of Postgres, simple or extended, lost when the server has said COMMIT. */
export const postgresCommit: LostReply = {
  request: (bytes) => /commit\0/i.test(bytes.toString('latin1')),
  reply: (bytes) => bytes.includes('COMMIT\0'),
};

interface Armed {
  readonly lost: LostReply;
  readonly done: () => void;
}

/** Listens on a free port of the loopback and passes everything on to the target. */
export async function startFaultProxy(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket }>();
  let latencyMs = 0;
  let blackhole: ReadonlySet<Direction> = new Set();
  let refusing = false;
  let armed: Armed | undefined;

  const listener = createServer({ noDelay: true }, (client) => {
    if (refusing) client.resetAndDestroy();
    else join(client);
  });

  function join(client: Socket): void {
    const server = connect({ ...target, noDelay: true });
    const pair = { client, server };
    pairs.add(pair);
    let losing: Armed | undefined;
    const withheld: Buffer[] = [];
    const end = (): void => {
      if (!pairs.delete(pair)) return;
      client.resetAndDestroy();
      server.resetAndDestroy();
    };

    pass(client, server, 'to-server', (bytes) => {
      if (armed?.lost.request(bytes) !== true) return true;
      losing = armed;
      armed = undefined;
      return true;
    });
    pass(server, client, 'to-client', (bytes) => {
      if (losing === undefined) return true;
      withheld.push(bytes);
      if (losing.lost.reply?.(Buffer.concat(withheld)) ?? true) {
        end();
        losing.done();
      }
      return false;
    });
    for (const socket of [client, server]) {
      socket.on('error', end);
      socket.on('close', end);
    }
  }

  function pass(from: Socket, to: Socket, direction: Direction, allows: (bytes: Buffer) => boolean): void {
    const write = (bytes: Buffer): void => {
      if (to.destroyed || blackhole.has(direction) || to.write(bytes)) return;
      from.pause();
      to.once('drain', () => from.resume());
    };
    from.on('data', (bytes: Buffer) => {
      if (blackhole.has(direction) || !allows(bytes)) return;
      if (latencyMs === 0) write(bytes);
      else setTimeout(write, latencyMs, bytes);
    });
    from.on('end', () => setTimeout(() => to.end(), latencyMs));
  }

  const cut = (): void => {
    for (const { client } of pairs) client.destroy();
  };
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const { port } = listener.address() as AddressInfo;

  return {
    host: '127.0.0.1',
    port,
    setLatency: (ms) => {
      latencyMs = ms;
    },
    setBlackhole: (directions) => {
      blackhole = new Set(directions);
    },
    setRefusing: (value) => {
      refusing = value;
    },
    cut,
    loseNextReply: (lost) =>
      new Promise((done) => {
        armed = { lost, done };
      }),
    connections: () => pairs.size,
    close: async () => {
      cut();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
