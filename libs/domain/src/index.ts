import { account, accountMigration } from './account/table.ts';
import { accountDeposit } from './account/deposit.ts';
import { accountOpen } from './account/open.ts';
import { accountCommands } from './escrow/account.ts';
import { stockCommands } from './escrow/stock.ts';
import { hold, holdMigration } from './escrow/table.ts';
import type { AnyTable, AnyWriteType } from './model.ts';
import { orderCancel } from './order/cancel.ts';
import { orderPlace } from './order/place.ts';
import { orderReturn } from './order/return.ts';
import { orders, ordersMigration } from './order/table.ts';
import { paymentAuthorize } from './payment/authorize.ts';
import { paymentCapture } from './payment/capture.ts';
import { paymentRefund } from './payment/refund.ts';
import { payment, paymentMigration } from './payment/table.ts';
import { paymentVoid } from './payment/void.ts';
import { stockReceive } from './stock/receive.ts';
import { saga, sagaMigration } from './saga/table.ts';
import { stock, stockMigration } from './stock/table.ts';
import { transferPlace } from './transfer/place.ts';

export * from './model.ts';
export { REFUSALS, type RefusalCode } from './refusals.ts';
export { account, type AccountRow } from './account/table.ts';
export { hold, type HoldRow, type HoldState } from './escrow/table.ts';
export { orders, type OrderLine, type OrderRow } from './order/table.ts';
export { paymentState, type PaymentState } from './payment/state.ts';
export { payment, type PaymentRow } from './payment/table.ts';
export * from './saga/messages.ts';
export * from './saga/table.ts';
export { stock, type StockRow } from './stock/table.ts';
export { accountDeposit, accountOpen, orderCancel, orderPlace, orderReturn, paymentAuthorize, paymentCapture };
export { paymentRefund, paymentVoid, stockReceive, transferPlace };

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
  orderReturn,
  transferPlace,
];

/** Every write type that clients may send, by its name. */
export const writeTypes: ReadonlyMap<string, AnyWriteType> = new Map(allWriteTypes.map((type) => [type.type, type]));

/** Every command that sagas send to participants, by its name. Clients may not. */
export const commandTypes: ReadonlyMap<string, AnyWriteType> = new Map([...accountCommands, ...stockCommands].map((type) => [type.type, type]));

/** Every table that holds rows of slots, of both streams. */
export const tables: readonly AnyTable[] = [account, payment, orders, stock, hold, saga];

/** The tables' DDL, in the order in which a shard runs it. */
export const domainMigrations: readonly { readonly id: string; readonly sql: string }[] = [
  accountMigration,
  paymentMigration,
  ordersMigration,
  stockMigration,
  holdMigration,
  sagaMigration,
];
