import { account, accountMigration } from './account/table.ts';
import { accountDeposit } from './account/deposit.ts';
import { accountOpen } from './account/open.ts';
import type { AnyTable, AnyWriteType } from './model.ts';
import { orderCancel } from './order/cancel.ts';
import { orderPlace } from './order/place.ts';
import { orders, ordersMigration } from './order/table.ts';
import { paymentAuthorize } from './payment/authorize.ts';
import { paymentCapture } from './payment/capture.ts';
import { paymentRefund } from './payment/refund.ts';
import { payment, paymentMigration } from './payment/table.ts';
import { paymentVoid } from './payment/void.ts';
import { stockReceive } from './stock/receive.ts';
import { stock, stockMigration } from './stock/table.ts';

export * from './model.ts';
export { REFUSALS, type RefusalCode } from './refusals.ts';
export { account, type AccountRow } from './account/table.ts';
export { orders, type OrderLine, type OrderRow, type OrderState } from './order/table.ts';
export { paymentState, type PaymentState } from './payment/state.ts';
export { payment, type PaymentRow } from './payment/table.ts';
export { stock, type StockRow } from './stock/table.ts';
export { accountDeposit, accountOpen, orderCancel, orderPlace, paymentAuthorize, paymentCapture };
export { paymentRefund, paymentVoid, stockReceive };

const allWriteTypes: readonly AnyWriteType[] = [
  accountOpen,
  accountDeposit,
  paymentAuthorize,
  paymentCapture,
  paymentVoid,
  paymentRefund,
  stockReceive,
  orderPlace,
  orderCancel,
];

/** Every write type by its name. */
export const writeTypes: ReadonlyMap<string, AnyWriteType> = new Map(allWriteTypes.map((type) => [type.type, type]));

/** Every table that write types change. */
export const tables: readonly AnyTable[] = [account, payment, orders, stock];

/** The tables' DDL, in the order in which a shard runs it. */
export const domainMigrations: readonly { readonly id: string; readonly sql: string }[] = [
  accountMigration,
  paymentMigration,
  ordersMigration,
  stockMigration,
];
