/**
 * Receipts by the million: each is kept as the 31 bytes that its text stands for, in chunks, and decoded when it is
 * read.
 */
import { type Receipt, type Tenant, decodeReceipt, must } from '@millrace/write';

export interface AckedReceipts extends Iterable<Receipt> {
  readonly size: number;
}

export interface ReceiptStore extends AckedReceipts {
  /** False where the text cannot be a receipt. */
  add(receipt: string): boolean;
}

const RECEIPT_BYTES = 31;
const RECEIPT_CHARS = 42;
const CHUNK_RECEIPTS = 32 * 1024;

export function createReceiptStore(tenant: Tenant): ReceiptStore {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    get size() {
      return size;
    },
    add(receipt) {
      if (receipt.length !== RECEIPT_CHARS) return false;
      const at = size % CHUNK_RECEIPTS;
      if (at === 0 && chunks.length * CHUNK_RECEIPTS === size) chunks.push(Buffer.alloc(CHUNK_RECEIPTS * RECEIPT_BYTES));
      const chunk = must(chunks.at(-1), 'a chunk was made');
      if (chunk.write(receipt, at * RECEIPT_BYTES, 'base64url') !== RECEIPT_BYTES) return false;
      size++;
      return true;
    },
    *[Symbol.iterator]() {
      for (let index = 0; index < size; index++) yield decode(index);
    },
  };

  function decode(index: number): Receipt {
    const chunk = must(chunks[Math.floor(index / CHUNK_RECEIPTS)], 'the chunk of a receipt');
    const start = (index % CHUNK_RECEIPTS) * RECEIPT_BYTES;
    const text = chunk.toString('base64url', start, start + RECEIPT_BYTES);
    return must(decodeReceipt(tenant, text), `the gateway gave ${text}, which is no receipt of tenant ${tenant}`);
  }
}
