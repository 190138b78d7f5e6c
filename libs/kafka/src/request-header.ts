/** What every request to a broker begins with: header version 1 (https://kafka.apache.org/protocol). */

export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string;
}

/** Leaves room for the length of the frame, and returns where the body begins. */
export function writeRequestHeader(buffer: Buffer, { apiKey, apiVersion, correlationId, clientId }: RequestHeader): number {
  let at = buffer.writeInt16BE(apiKey, 4);
  at = buffer.writeInt16BE(apiVersion, at);
  at = buffer.writeInt32BE(correlationId, at);
  return writeString(buffer, clientId, at);
}

/** A string of the protocol: two bytes of length, then UTF-8. Returns where it ends. */
export function writeString(buffer: Buffer, text: string, at: number): number {
  const start = buffer.writeInt16BE(Buffer.byteLength(text), at);
  return start + buffer.write(text, start);
}
