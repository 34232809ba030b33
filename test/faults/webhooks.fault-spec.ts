import { PUBLISHED_TYPES } from '../../src/events/feed/event-types';
import { until } from '../support/race';
import { Receiver, signatureOf } from '../support/receiver';
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

/** An endpoint that wants everything about reservations and orders, the events of each object in their order. */
async function anEndpoint(receiver: Receiver): Promise<{ id: string; secret: string }> {
  const types = PUBLISHED_TYPES.filter((type) => /^(reservation|order)\./.test(type));
  const body = { url: receiver.url, types, ordering: 'object' };
  const { status, body: answer } = await service.as('admin').ask({ path: '/api/webhook-endpoints', body });
  expect(status).toBe(201);
  return answer.data;
}

/** Lets pass what is waited for: the leases of a killed process, the pauses after failures. */
async function hurry(endpointId: string): Promise<void> {
  await postgres.query(
    `UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp()
     WHERE endpoint_id = $1 AND state = 'pending' AND next_attempt_at > clock_timestamp() + interval '1 second'`,
    [endpointId],
  );
  await postgres.query('UPDATE webhook_endpoints SET paused_until = NULL WHERE id = $1', [endpointId]);
}

/** Fails unless the receiver has been sent all that was committed since the endpoint was made, and in the order of each object. */
async function expectAllDelivered(receiver: Receiver, { id, secret }: { id: string; secret: string }): Promise<void> {
  const written = await postgres.query<{ id: string; objectId: string }>(
    `SELECT log.id, log.object_id AS "objectId" FROM audit_logs AS log, webhook_endpoints AS endpoint
     WHERE endpoint.id = $1 AND log.action = ANY (endpoint.types) AND log.created_at > endpoint.created_at
     ORDER BY log.created_at, log.id`,
    [id],
  );
  expect(written.length).toBeGreaterThan(100);
  await until(async () => {
    await hurry(id);
    const [{ open }] = (await postgres.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM webhook_deliveries WHERE endpoint_id = $1 AND state <> 'delivered'`,
      [id],
    )) as [{ open: number }];
    const [{ known }] = (await postgres.query<{ known: number }>(
      'SELECT count(*)::int AS known FROM webhook_deliveries WHERE endpoint_id = $1',
      [id],
    )) as [{ known: number }];
    return open === 0 && known === written.length;
  }, 'everything is delivered');
  const taken = [...new Set(receiver.taken.map(({ event }) => event.id as string))];
  expect([...taken].sort()).toEqual(written.map((row) => row.id).sort());
  for (const received of receiver.received) {
    expect(received.headers['webhook-signature']).toBe(signatureOf(received, secret));
  }
  // Of an order, versions count up from event to event; the first time that each was taken counts.
  const versions = new Map<string, number>();
  const firsts = new Map(receiver.taken.toReversed().map(({ event }) => [event.id as string, event]));
  for (const event of taken.map((one) => firsts.get(one)).filter(({ object }) => object.type === 'order')) {
    expect(event.object.version).toBe((versions.get(event.object.id) ?? 0) + 1);
    versions.set(event.object.id, event.object.version);
  }
}

describe('Webhooks reach their receiver, each object in its order', () => {
  it('through kill -9 of the service, while it fans out and delivers', async () => {
    const receiver = await Receiver.start();
    try {
      const endpoint = await anEndpoint(receiver);
      await stormThrough('kill -9 with webhooks', { postgres, services: [service] }, async () => {
        await service.end('SIGKILL');
        await service.comeBack();
      });
      await expectAllDelivered(receiver, endpoint);
    } finally {
      await receiver.stop();
    }
  });

  it('though the receiver was away for longer than the first retries, and the database for a while', async () => {
    const receiver = await Receiver.start();
    try {
      const endpoint = await anEndpoint(receiver);
      receiver.answers(500);
      await stormThrough('webhooks, nobody takes them', { postgres, services: [service] }, async () => {
        await postgres.stopImmediately();
        await postgres.comeBack();
      });
      const failures = async (): Promise<number> => {
        const [row] = await postgres.query<{ failures: number }>(
          'SELECT failures FROM webhook_endpoints WHERE id = $1',
          [endpoint.id],
        );
        return row!.failures;
      };
      await until(async () => {
        await hurry(endpoint.id);
        return (await failures()) >= 12;
      }, 'it has failed twelve times in a row');
      receiver.answers(204);
      await expectAllDelivered(receiver, endpoint);
    } finally {
      await receiver.stop();
    }
  });
});
