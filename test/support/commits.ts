import { randomUUID } from 'node:crypto';
import type { Api, Reply } from './api';
import { LOCK_LEVELS, metricOf, type OneBatch, queueUp } from './batches';
import { rowCounts } from './database';
import { aProduct, aReservation } from './factories';
import { whileLocked } from './race';
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

export function commit({ who, id, requestId, key }: Commit): Promise<Reply> {
  const headers = { 'X-Request-Id': requestId, ...(key === undefined ? {} : { 'Idempotency-Key': key }) };
  return who.post(`/api/reservations/${id}/commit`, undefined, headers);
}

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

/**
 * Has these commits decided in one batch, in this order: a commit of a product of its own waits for its level until all
 * of them wait in the process, and what waits is the next batch. Fails if it was more than one; but those that want a
 * reservation which an earlier one wants must come in a batch after that.
 */
export async function inOneCommitBatch(
  test: TestApp,
  commits: readonly Commit[],
  whileQueued: () => Promise<unknown> = async () => undefined,
): Promise<OneBatch<Reply>> {
  const [product, buyer] = [await aProduct(test), test.aUser()];
  const opener = aCommit(buyer, (await aReservation(buyer, product.id)).id);
  const [batches, requests] = await batchesSoFar(test);
  let running: Promise<Reply>[] = [];
  let rows: Record<string, number> = {};
  const gather = async (): Promise<void> => {
    running = await queueUp(
      test,
      commits.map((one) => () => commit(one)),
    );
    await whileQueued();
    rows = await rowCounts(test.database);
  };
  await whileLocked(test.database, { sql: LOCK_LEVELS, values: [product.id], meanwhile: gather }, () => commit(opener));
  const replies = await Promise.all(running);
  expect(await batchesSoFar(test)).toEqual([batches! + 1 + mostOfOne(commits), requests! + 1 + commits.length]);
  return { replies, written: difference(await rowCounts(test.database), rows) };
}

/** How many of the commits there are for the reservation that has the most. */
function mostOfOne(commits: readonly Commit[]): number {
  const of = (id: string): number => commits.filter((one) => one.id === id).length;
  return Math.max(...commits.map(({ id }) => of(id)));
}

/** How many batches there were, and how many requests in them. */
function batchesSoFar(test: TestApp): Promise<number[]> {
  return Promise.all(['count', 'sum'].map((what) => metricOf(test, `holdfast_batch_requests_${what}`)));
}

/** Without what the one has written that kept the others waiting, and without tables that got nothing. */
function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  const opener = rowsOfCommits(1);
  const gained = Object.entries(after).map(([table, rows]) => [table, rows - before[table]! - (opener[table] ?? 0)]);
  return Object.fromEntries(gained.filter(([, rows]) => rows !== 0));
}
