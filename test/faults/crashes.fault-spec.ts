import { until } from '../support/race';
import { Postgres } from './support/postgres';
import { Service } from './support/service';
import { stormThrough } from './support/storm';

let postgres: Postgres;
let service: Service;
beforeAll(async () => {
  postgres = await Postgres.start();
  service = await Service.start(postgres);
});
afterAll(async () => {
  await service?.end();
  await postgres?.end();
});

const world = () => ({ postgres, services: [service] as const });
/** By itself, and soon: the database needs some of it for its recovery. */
const SOON_MS = 10_000;

async function expectBackSoon(): Promise<void> {
  const startedAt = performance.now();
  await until(() => service.isReady(), 'the service is ready again');
  expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
}

describe('Everything that was answered is there, and what was not happens once, after', () => {
  it('kill -9 of the service and of the database', async () => {
    await stormThrough('kill -9 of everything', world(), async () => {
      await Promise.all([service.end('SIGKILL'), postgres.kill()]);
      await postgres.comeBack();
      await service.comeBack();
    });
  });

  it('kill -9 of the service', async () => {
    await stormThrough('kill -9 of the service', world(), async () => {
      await service.end('SIGKILL');
      await service.comeBack();
    });
  });

  it('kill -9 of one of two processes, while the other goes on', async () => {
    const other = await Service.start(postgres);
    try {
      await stormThrough('kill -9 of one of two', { postgres, services: [service, other] }, async () => {
        await other.end('SIGKILL');
        await other.comeBack();
      });
    } finally {
      await other.end();
    }
  });

  it('kill -9 of one session, after which PostgreSQL recovers as from a crash', async () => {
    await stormThrough('kill -9 of a session', world(), async () => {
      await postgres.killSession();
      await expectBackSoon();
    });
  });

  it('an immediate stop of the database, and its return', async () => {
    await stormThrough('immediate stop of the database', world(), async (load) => {
      await postgres.stopImmediately();
      await until(async () => load.outcomes.some(({ status }) => status === 503), 'somebody was refused');
      await postgres.comeBack();
      await expectBackSoon();
    });
  });
});
