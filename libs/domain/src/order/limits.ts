/** The limits of an order. A sku in all lines has at most `LINES_MAX * QUANTITY_MAX` units, far within a safe integer. */
export const LINES_MAX = 1_000;
export const QUANTITY_MAX = 1_000_000;
