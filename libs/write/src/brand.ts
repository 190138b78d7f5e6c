/** Nominal types: two numbers that must not be swapped get different brands. They cost nothing at run time. */
declare const brand: unique symbol;

export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
