import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { until } from '../support/race';
import { unique } from '../support/test-app';
import { expectNoLeak } from './support/account';
import { Caller, countNames } from './support/caller';
import { Postgres } from './support/postgres';
import { Service, tokenOf } from './support/service';

const REQUEST_TIMEOUT_SECONDS = 5;
/** Slow enough that neither head nor body would be there in time. */
const TRICKLE_MS = 200;
/** More than the kernel keeps of an answer that nobody reads. */
const UNREAD_ANSWERS = 400;

let postgres: Postgres;
let service: Service;
let productId: string;
let userId: string;
beforeAll(async () => {
  postgres = await Postgres.start();
  service = await Service.start(postgres, { REQUEST_TIMEOUT_SECONDS: String(REQUEST_TIMEOUT_SECONDS) });
  const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: 1000 };
  productId = (await service.as('admin').ask({ path: '/api/products', body })).body.data.id;
});
beforeEach(() => {
  userId = randomUUID();
});
afterEach(() => expectNoLeak(postgres, service));
afterAll(async () => {
  await service?.end();
  await postgres?.end();
});

async function open(): Promise<Socket> {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

const line = (): object => ({ product_id: productId, quantity: 1 });

/** The bytes of a request for one piece. */
function reservation(key: string): string {
  const body = JSON.stringify(line());
  return (
    `POST /api/reservations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf('user', userId)}\r\n` +
    `Idempotency-Key: ${key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

/** The same, by a client that waits for its answer. */
const reserve = (key: string) =>
  new Caller(() => service.url, tokenOf('user', userId)).ask({ path: '/api/reservations', body: line(), key });

const reservations = async (): Promise<number> =>
  (await postgres.query('SELECT FROM reservations WHERE user_id = $1', [userId])).length;

/** Connections that the service's process has open, of whatever kind. */
async function sockets(): Promise<number> {
  const folder = `/proc/${service.pid}/fd`;
  const links = await Promise.all((await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => '')));
  return links.filter((link) => link.startsWith('socket:')).length;
}

async function expectNothingHeld(): Promise<void> {
  // Jobs of the service use a connection for moments; whoever held one would go on holding it.
  const areIdle = async () => (await postgres.sessions()).every(({ state }) => state === 'idle');
  await until(areIdle, 'no connection is held', 1);
  expect((await reserve(randomUUID())).status).toBe(201);
}

describe('A client whose request trickles', () => {
  it.each(['head', 'body'])(
    'in its %s holds nothing, and is cut off when the time for a request is over',
    async (part) => {
      const socket = await open();
      const startedAt = performance.now();
      const bytes = reservation(randomUUID());
      let sent = part === 'head' ? 0 : bytes.indexOf('{');
      socket.write(bytes.slice(0, sent));
      // Slowly, for that is the fault; each byte says that somebody is still there.
      const trickle = setInterval(() => socket.write(bytes.charAt((sent += 1) - 1)), TRICKLE_MS);
      try {
        const answer = text(socket).catch(() => '');
        await expectNothingHeld();
        expect(await answer).toMatch(/^(HTTP\/1\.1 400 Bad Request\r\n|$)/);
        expect((performance.now() - startedAt) / 1000).toBeLessThan(REQUEST_TIMEOUT_SECONDS + 3);
        expect(sent).toBeLessThan(bytes.length);
      } finally {
        clearInterval(trickle);
        socket.destroy();
      }
      expect(await reservations()).toBe(1);
    },
  );
});

describe('A client that does not read its answers', () => {
  it('holds nothing, and is cut off', async () => {
    const before = await sockets();
    const socket = await open();
    socket.pause();
    const key = randomUUID();
    socket.write(reservation(key) + 'GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(UNREAD_ANSWERS));
    await until(async () => (await reservations()) === 1, 'its reservation is made');
    await expectNothingHeld();
    expect(await sockets()).toBeGreaterThan(before);
    await until(async () => (await sockets()) <= before, 'it is cut off', 3 * REQUEST_TIMEOUT_SECONDS);
    socket.destroy();
    expect((await reserve(key)).headers.get('idempotent-replayed')).toBe('true');
  });
});

describe('A client that hangs up', () => {
  it('with half of its request sent has asked for nothing', async () => {
    const keys = Array.from({ length: 20 }, () => randomUUID());
    for (const key of keys) {
      const socket = await open();
      const bytes = reservation(key);
      await new Promise((written) => socket.write(bytes.slice(0, -10), written));
      socket.destroy();
    }
    await expectNothingHeld();
    expect(await reservations()).toBe(1);
    expect(countNames(await Promise.all(keys.map(reserve)))).toEqual({ '201': keys.length });
    expect(await reservations()).toBe(1 + keys.length);
  });

  it('with all of it sent is served at most once, and exactly once when it asks again', async () => {
    const keys = Array.from({ length: 100 }, () => randomUUID());
    await Promise.all(
      keys.map(async (key, index) => {
        const socket = await open();
        await new Promise((written) => socket.write(reservation(key), written));
        // Some after a moment in which the work may have begun.
        if (index % 2) {
          await Promise.race([once(socket, 'data'), new Promise((later) => setTimeout(later, index))]);
        }
        socket.destroy();
      }),
    );
    const again = await Promise.all(keys.map(reserve));
    expect(countNames(again)).toEqual({ '201': keys.length });
    expect(new Set(again.map(({ body }) => body.data.id)).size).toBe(keys.length);
    expect(await reservations()).toBe(keys.length);
  });
});
