/** The server of an admin API, apart from the producers' one: another port, another token. */
import type { Server } from 'node:http';
import type { Express } from 'express';
import { createApp, type AppInput } from './app.ts';
import { CLOSE_MS, CONNECTIONS_MAX } from './limits.ts';

export interface AdminInput extends AppInput {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** Serves until `close`. @throws the system's error where the port cannot be taken. */
export async function startAdmin(input: AdminInput): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = await listen(createApp(input), input);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : input.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        // What is under way may take longer than a drain may.
        setTimeout(() => server.closeAllConnections(), CLOSE_MS).unref();
      }),
  };
}

function listen(app: Express, { host, port }: AdminInput): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = app.listen(port, host, (error?: Error) => (error ? reject(error) : resolve(server)));
    server.headersTimeout = 10_000;
    server.requestTimeout = 15_000;
    server.maxConnections = CONNECTIONS_MAX;
  });
}
