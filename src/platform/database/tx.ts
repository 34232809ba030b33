import type { EntityManager } from 'typeorm';

declare const openTransaction: unique symbol;

/** An EntityManager inside a transaction that `TransactionRunner` opened; nothing else can make one. */
export type Tx = EntityManager & { readonly [openTransaction]: true };
