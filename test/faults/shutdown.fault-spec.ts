import { randomUUID } from 'node:crypto';
import { until } from '../support/race';
import { unique } from '../support/test-app';
import { countNames } from './support/caller';
import { isTemporary, type Load } from './support/load';
import { Postgres } from './support/postgres';
import { POOL_SIZE, Service } from './support/service';
import { stormThrough } from './support/storm';

let postgres: Postgres;
let service: Service;
let twin: Service | undefined;
beforeAll(async () => {
  postgres = await Postgres.start();
  service = await Service.start(postgres);
});
afterAll(async () => {
  await Promise.all([service?.end(), twin?.end()]);
  await postgres?.end();
});

/** A process that stops refuses nobody: it answers, or its address has nobody who listens. */
function expectOnlyCut(load: Load): void {
  const { cut, '409 idempotency_in_progress': _, ...others } = countNames(load.outcomes.filter(isTemporary));
  expect(cut).toBeGreaterThan(0);
  expect(others).toEqual({});
}

describe('SIGTERM', () => {
  it('answers everything that has arrived, also what stands in a queue, and ends with 0', async () => {
    const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: 100 };
    const { id } = (await service.as('admin').ask({ path: '/api/products', body })).body.data;
    const line = { product_id: id, quantity: 1 };
    await postgres.session(async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE', [id]);
      const ask = () => service.as('user').ask({ path: '/api/reservations', body: line, key: randomUUID() });
      const asked = Array.from({ length: POOL_SIZE * 4 }, ask);
      await until(async () => (await queued()) === asked.length - 1, 'one has the batch, and the others wait');
      const ended = service.end('SIGTERM');
      await until(async () => (await service.anonymous.ask({ path: '/health/live' })).status === 'cut', 'it stops');
      await client.query('COMMIT');
      const answered = [countNames(await Promise.all(asked)), await ended];
      await service.comeBack();
      expect(answered).toEqual([{ '201': asked.length }, 0]);
    });
  });

  async function queued(): Promise<number> {
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    const waiting = Number(/^holdfast_queue_requests (\d+)$/m.exec(metrics)![1]);
    const locked = (await postgres.sessions()).some(({ wait }) => wait === 'Lock');
    return locked ? waiting : 0;
  }

  it('under load costs nobody an answer that he was given', async () => {
    const load = await stormThrough('SIGTERM', { postgres, services: [service] }, async () => {
      expect(await service.end('SIGTERM')).toBe(0);
      await service.comeBack();
    });
    expectOnlyCut(load);
  });

  it('to one process after the other, as when a new version is rolled out, fails no client that asks again', async () => {
    const second = (twin = await Service.start(postgres));
    const load = await stormThrough('rolling restart', { postgres, services: [service, second] }, async (running) => {
      for (const one of [service, second]) {
        expect(await one.end('SIGTERM')).toBe(0);
        // The other one serves alone meanwhile.
        await running.goesOn(20);
        await one.comeBack();
        await running.goesOn(20);
      }
    });
    expectOnlyCut(load);
  });
});
