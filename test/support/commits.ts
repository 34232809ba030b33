import { randomUUID } from 'node:crypto';
import type { Api, Reply } from './api';
import { ask, type Asked } from './asked';
import { inOneBatchOf, LOCK_LEVELS, type OneBatch } from './batches';
import { aProduct, aReservation } from './factories';
import type { TestApp } from './test-app';

/** A request to commit a reservation, and what tells it from all others. */
export interface Commit {
  readonly who: Api;
  readonly id: string;
  readonly requestId: string;
  readonly key?: string;
}

/** One request of its own id. */
export const aCommit = (who: Api, id: string, key?: string): Commit => ({ who, id, requestId: randomUUID(), key });

export function requestOf({ who, id, requestId, key }: Commit): Asked {
  const headers = { 'X-Request-Id': requestId, ...(key !== undefined && { 'Idempotency-Key': key }) };
  return { who, method: 'post', path: `/api/reservations/${id}/commit`, headers, requestId };
}

export const commit = (one: Commit): Promise<Reply> => ask(requestOf(one));

/** `201`, what the reservation is instead of active, or the status and the code of another failure. */
export const answersOf = (replies: readonly Reply[]): string[] =>
  replies.map(({ status, body }) => (status === 201 ? '201' : `${status} ${body.reservation_status ?? body.code}`));

/** What so many commits write, each of one level; `confirmed` of them confirm an order that was there before. */
export function rowsOfCommits(commits: number, confirmed = 0): Record<string, number> {
  const made = commits - confirmed;
  return {
    ...{ orders: made, order_items: made, order_status_changes: commits, stock_movements: commits },
    audit_logs: 3 * made + 2 * confirmed,
  };
}

/** Has these commits decided in one batch, in this order. */
export async function inOneCommitBatch(
  test: TestApp,
  commits: readonly Commit[],
  whileQueued?: () => Promise<unknown>,
): Promise<OneBatch<Reply>> {
  const [product, buyer] = [await aProduct(test), test.aUser()];
  const first = aCommit(buyer, (await aReservation(buyer, product.id)).id);
  const opener = { lock: { sql: LOCK_LEVELS, values: [product.id] }, attempt: () => commit(first) };
  return inOneBatchOf(
    test,
    { openers: [opener], rows: rowsOfCommits(1) },
    commits.map((one) => () => commit(one)),
    whileQueued,
  );
}
