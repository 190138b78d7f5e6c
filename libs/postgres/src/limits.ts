/** Limits of this room that no deployment needs to change. All in milliseconds. */

/** How much later than the server's own timeout a silent link is given up. */
export const SILENCE_GRACE_MS = 5_000;
/** A connection that was idle for so long is closed. */
export const IDLE_CONNECTION_MS = 30_000;
/** TCP keep-alive probes begin after so much silence. */
export const KEEP_ALIVE_DELAY_MS = 10_000;
/** How long a connection may take over its goodbye before its socket is destroyed. */
export const GOODBYE_MS = 1_000;
/** Migrations rewrite tables: they get far longer than any statement on the data path. */
export const MIGRATION_TIMEOUT_MS = 600_000;
