/** What the accounts and the stock of all shards must have in all: by currency, and in units. */

export interface Tally {
  /** Minor units by currency. */
  readonly money: ReadonlyMap<string, bigint>;
  /** Units of all skus. */
  stock: bigint;
  pay(currency: string, units: bigint): void;
  add(other: Tally): void;
}

export function createTally(): Tally {
  const money = new Map<string, bigint>();
  return {
    money,
    stock: 0n,
    pay(currency, units) {
      money.set(currency, (money.get(currency) ?? 0n) + units);
    },
    add(other) {
      for (const [currency, units] of other.money) this.pay(currency, units);
      this.stock += other.stock;
    },
  };
}
