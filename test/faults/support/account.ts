import { until } from '../../support/race';
import { countNames, nameOf } from './caller';
import { answerOf, type Command, isDone, type Kind, type Load } from './load';
import type { Postgres } from './postgres';
import { POOL_SIZE, type Service } from './service';

const ASKED_AT_ONCE = 16;
/** Fails unless all that was answered is in the database, once, and nothing else of this load is. */
export async function expectAllOnce(postgres: Postgres, service: Service, load: Load): Promise<void> {
  const { commands } = load;
  expect(countNames(commands.filter((command) => !isDone(command)).map(answerOf))).toEqual(expectedRefusals(load));
  const hasty = load.outcomes.filter(({ status, headers }) => status === 503 && !headers.get('retry-after'));
  expect(hasty).toEqual([]);
  await expectKept(postgres, commands);
  await expectReplays(commands.filter(isDone));
  await expectRows(postgres, load);
  await expectStock(postgres, load);
  const { body } = await service.as('admin').ask({ path: '/api/admin/reconciliation' });
  expect(body.data).toMatchObject({ ok: true, differences: [] });
}

/** Nobody is refused but for want of the scarce product. */
function expectedRefusals({ commands, scarce }: Load): Record<string, number> {
  const short = commands.filter((command) => answerOf(command).status === 409);
  expect(short.filter((command) => !JSON.stringify(command.body).includes(scarce))).toEqual([]);
  return short.length > 0 ? { '409 insufficient_stock': short.length } : {};
}

/** A success keeps its key, with the answer that was given; a refusal keeps none. */
async function expectKept(postgres: Postgres, commands: readonly Command[]): Promise<void> {
  const rows = await postgres.query<{ key: string; status: number; body: object }>(
    'SELECT key, status, body FROM idempotency_keys WHERE key = ANY($1)',
    [commands.map(({ key }) => key)],
  );
  const kept = new Map(rows.map(({ key, status, body }) => [key, { status, body }]));
  expect(rows).toHaveLength(kept.size);
  const done = commands.filter(isDone);
  const given = new Map(
    done.map((command) => [command.key, { status: answerOf(command).status, body: answerOf(command).body.data }]),
  );
  expect(kept).toEqual(given);
}

/** Asked again with its key, each gets the same answer, and is told so. */
async function expectReplays(done: readonly Command[]): Promise<void> {
  const wrong: string[] = [];
  const queue = [...done];
  const askAll = async (): Promise<void> => {
    for (let command = queue.pop(); command; command = queue.pop()) {
      const [first, again] = [answerOf(command), await command.caller.ask(command)];
      const isSame = JSON.stringify(again.body?.data) === JSON.stringify(first.body.data);
      if (!isSame || again.status !== first.status || again.headers.get('idempotent-replayed') !== 'true') {
        wrong.push(`${command.kind} ${command.key}: ${nameOf(first)} became ${nameOf(again)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, askAll));
  expect(wrong).toEqual([]);
}

/** As many reservations, orders, ledger and audit rows as there were successes, each for one that was answered. */
async function expectRows(postgres: Postgres, { commands, plenty, scarce }: Load): Promise<void> {
  const done = (...kinds: Kind[]): Command[] => commands.filter((one) => kinds.includes(one.kind) && isDone(one));
  const ids = (...kinds: Kind[]): string[] =>
    done(...kinds).map((command) => answerOf(command).body.data.reservation_id ?? answerOf(command).body.data.id);
  const held = await postgres.query<{ id: string }>(
    'SELECT reservation_id AS id FROM reservation_items WHERE product_id = ANY($1)',
    [[plenty, scarce]],
  );
  expect(held.map(({ id }) => id).sort()).toEqual(ids('reserve', 'order').sort());
  const movements = await postgres.query<{ kind: string; count: number }>(
    `SELECT kind, count(*)::int FROM stock_movements WHERE product_id = ANY($1) GROUP BY kind ORDER BY kind`,
    [[plenty, scarce]],
  );
  const expected = {
    ...{ initial: 2, adjustment: done('adjust').length, reserve: held.length },
    ...{ commit: done('commit').length, release: done('cancel').length },
  };
  expect(Object.fromEntries(movements.map(({ kind, count }) => [kind, count]))).toEqual(
    Object.fromEntries(Object.entries(expected).filter(([, count]) => count > 0)),
  );
  const audited = await postgres.query<{ action: string; count: number }>(
    'SELECT action, count(*)::int FROM audit_logs WHERE object_id = ANY($1) GROUP BY action',
    [held.map(({ id }) => id)],
  );
  expect(Object.fromEntries(audited.map(({ action, count }) => [action, count]))).toMatchObject({
    'reservation.created': held.length,
    ...(done('cancel').length > 0 && { 'reservation.cancelled': done('cancel').length }),
    ...(done('commit').length > 0 && { 'reservation.committed': done('commit').length }),
  });
}

async function expectStock(postgres: Postgres, load: Load): Promise<void> {
  const count = (kind: Kind): number => load.commands.filter((one) => one.kind === kind && isDone(one)).length;
  const [levels] = await postgres.query<{ total: number; reserved: number; least: number }>(
    `SELECT sum(total)::int AS total, sum(reserved)::int AS reserved, min(available)::int AS least
     FROM stock_levels WHERE product_id = ANY($1)`,
    [[load.plenty, load.scarce]],
  );
  expect(levels).toMatchObject({
    total: load.initialPieces + count('adjust') - count('commit'),
    reserved: count('reserve') + count('order') - count('commit') - count('cancel'),
  });
  expect(levels!.least).toBeGreaterThanOrEqual(0);
}

/** Fails unless all connections of the service are idle, no more than it may have, and all of them serve. */
export async function expectNoLeak(postgres: Postgres, ...services: Service[]): Promise<void> {
  const isIdle = async () => (await postgres.sessions()).every(({ state }) => state === 'idle');
  await until(isIdle, 'all connections of the service are idle');
  const reads = services.flatMap((service) =>
    Array.from({ length: POOL_SIZE * 4 }, () => service.anonymous.ask({ path: '/api/products' })),
  );
  expect(countNames(await Promise.all(reads))).toEqual({ '200': reads.length });
  const names = (await postgres.sessions()).map(({ name }) => name);
  const count = (wanted: string): number => names.filter((name) => name === wanted).length;
  expect(count('holdfast')).toBeLessThanOrEqual(services.length * POOL_SIZE);
  expect(count('holdfast-probe')).toBeLessThanOrEqual(services.length);
}
