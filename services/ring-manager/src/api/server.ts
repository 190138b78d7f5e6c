/** The admin API's server, apart from the producers' one: another port, another token. */
import type { Server } from 'node:http';
import type { Express } from 'express';
import { ADMIN_CLOSE_MS, ADMIN_CONNECTIONS_MAX } from '../limits.ts';
import { createApp, type AppInput } from './app.ts';

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
        // A comparison of every row may take longer than a drain may.
        setTimeout(() => server.closeAllConnections(), ADMIN_CLOSE_MS).unref();
      }),
  };
}

function listen(app: Express, { host, port }: AdminInput): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = app.listen(port, host, (error?: Error) => (error ? reject(error) : resolve(server)));
    server.headersTimeout = 10_000;
    server.requestTimeout = 15_000;
    server.maxConnections = ADMIN_CONNECTIONS_MAX;
  });
}
