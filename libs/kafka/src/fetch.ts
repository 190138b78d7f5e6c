/** One Fetch over one link: what a reader of the log without a group does again and again. */
import type { BrokerLink } from './broker-link.ts';
import { encodeFetch, type FetchRequest } from './fetch-codec.ts';

const FETCH_TIMEOUT_MS = 10_000;
/** Of one reply over all slots, where nothing else is asked for; a record batch that is larger comes alone. */
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
const FETCH_BYTES_PER_SLOT_MAX = 1024 * 1024;

export const OFFSET_OUT_OF_RANGE = 1;

/** The reply for `decodeFetchReply`; undefined where the connection failed. Never rejects: it may be awaited late. */
export function requestFetch(link: BrokerLink, request: Omit<FetchRequest, 'bytesMax' | 'bytesPerSlotMax'> & { readonly bytesMax?: number }): Promise<Buffer | undefined> {
  const { bytesMax = FETCH_BYTES_MAX } = request;
  const frame = encodeFetch({ ...request, bytesMax, bytesPerSlotMax: Math.min(FETCH_BYTES_PER_SLOT_MAX, bytesMax) });
  return link.request(frame, FETCH_TIMEOUT_MS).catch(() => undefined);
}
