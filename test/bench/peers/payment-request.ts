/** What a hand-written payment endpoint validates; both HTTP peers use it. */
import { z } from 'zod';

const id = z.string().regex(/^[!-.0-~]{1,64}$/);

export const paymentRequest = z.strictObject({
  payment: id,
  account: id,
  amount: z.string().regex(/^(?:0|[1-9]\d{0,18})(?:\.\d{1,3})?$/),
  currency: z.string().regex(/^[A-Z]{3}$/),
  order: id.optional(),
  capture: z.literal(true).optional(),
});
