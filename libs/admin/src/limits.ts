/** The limits of an admin API: few callers, small requests. */
export const TOKEN_LENGTH_MIN = 16;
export const CONNECTIONS_MAX = 64;
/** Requests that are under way when the process drains are cut off after this. */
export const CLOSE_MS = 5_000;
export const BODY_BYTES_MAX = 256 * 1024;
/** What a caller waits before it asks again while a server behind the API does not answer. */
export const RETRY_AFTER_SECONDS = 2;
