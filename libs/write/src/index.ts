export * from './assert.ts';
export type { Brand } from './brand.ts';
export * from './currency.ts';
export * from './digest.ts';
export * from './ids.ts';
export * from './money.ts';
export * from './receipt.ts';
export * from './record-key.ts';
