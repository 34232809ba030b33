import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { answersIn, exchangeRaw, type RawAnswer } from '../fuzz/raw-http';
import { aProduct } from '../support/factories';
import { until, whileLocked } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const GARBAGE = '\u0001garbage\r\n\r\n';
const LOCK = 'SELECT FROM stock_levels WHERE product_id = $1 FOR UPDATE';

let test: TestApp;
beforeAll(async () => {
  test = await startTestApp();
});
afterAll(() => test.close());

/** A request that takes so many pieces into stock, as it goes over the wire. */
function restock(
  { admin }: TestApp,
  productId: string,
  delta: number,
  body = JSON.stringify({ delta, reason: 'x' }),
): string {
  return (
    `POST /api/products/${productId}/stock-adjustments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin.token}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

/** What changed the stock of a product beyond its initial 10, in the order in which it did. */
async function changesOf({ admin }: TestApp, productId: string): Promise<number[]> {
  const { body } = await admin.get(`/api/products/${productId}/stock-movements`);
  return body.data
    .map((movement: { available_delta: number }) => movement.available_delta)
    .reverse()
    .slice(1);
}

function open({ url }: TestApp, bytes: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(bytes, 'latin1');
  return socket;
}

const statusesOf = (answers: RawAnswer[]): number[] => answers.map(({ status }) => status);
const saysClose = (answers: RawAnswer[]): boolean[] => answers.map(({ head }) => /^connection: close\r$/im.test(head));

describe('A request with garbage behind it', () => {
  it.each([
    ['stays', async (bytes: string) => text(open(test, bytes))],
    ['has nothing more to say', (bytes: string) => exchangeRaw(test.url, bytes)],
  ])('is carried out and answered before the garbage is, when the client %s', async (_, exchange) => {
    const { id } = await aProduct(test);
    const answers = answersIn(await exchange(restock(test, id, 1) + GARBAGE));
    expect(statusesOf(answers)).toEqual([201, 400]);
    expect(saysClose(answers)).toEqual([false, true]);
    expect(JSON.parse(answers[1]!.body)).toMatchObject({ code: 'malformed_json', instance: '/' });
    expect(await changesOf(test, id)).toEqual([1]);
  });

  it('is no HEAD any more when the garbage is answered', async () => {
    const received = await text(open(test, `HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n${GARBAGE}`));
    expect(received).toMatch(/^HTTP\/1\.1 200 [^]*\r\nHTTP\/1\.1 400 [^]*"code":"malformed_json"[^]*}$/);
  });

  it('is not carried out when the garbage is in it', async () => {
    const { id } = await aProduct(test);
    const chunked = restock(test, id, 2, '').replace('Content-Length: 0', 'Transfer-Encoding: chunked');
    const bytes = `${restock(test, id, 1)}${chunked}5\r\n{"del${GARBAGE}`;
    expect(statusesOf(answersIn(await text(open(test, bytes))))).toEqual([201, 400]);
    expect(await changesOf(test, id)).toEqual([1]);
  });

  it('has its answer first also when several wait, and more garbage comes meanwhile', async () => {
    const [first, second] = [await aProduct(test), await aProduct(test)];
    let socket: Socket;
    const lock = {
      sql: LOCK,
      values: [first.id],
      waiters: 1,
      meanwhile: async () => {
        socket.write(GARBAGE);
        // The second has been carried out, and waits for the first to be answered.
        await until(async () => (await changesOf(test, second.id)).length === 1, 'the second is carried out');
      },
    };
    const received = await whileLocked(test.database, lock, () => {
      socket = open(test, restock(test, first.id, 1) + restock(test, second.id, 2) + GARBAGE);
      return text(socket);
    });
    expect(statusesOf(answersIn(received))).toEqual([201, 201, 400]);
    expect([await changesOf(test, first.id), await changesOf(test, second.id)]).toEqual([[1], [2]]);
  });
});

describe('A body that cannot be read', () => {
  it('does not take their answers from the requests behind it', async () => {
    const { id } = await aProduct(test);
    const last = restock(test, id, 2).replace('Host: x', 'Host: x\r\nConnection: close');
    const answers = answersIn(await text(open(test, restock(test, id, 1, '{') + last)));
    expect(statusesOf(answers)).toEqual([400, 201]);
    expect(await changesOf(test, id)).toEqual([2]);
  });

  it('ends its connection, and what comes later is not begun', async () => {
    const { id } = await aProduct(test);
    let [here, there]: (Socket | undefined)[] = [];
    test.app.getHttpServer().once('connection', (socket: Socket) => (there = socket));
    const lock = {
      sql: LOCK,
      values: [id],
      meanwhile: async () => {
        await until(async () => there!.isEnding === true, 'the connection is ending');
        here!.write(restock(test, id, 3));
      },
    };
    const received = await whileLocked(test.database, lock, () => {
      here = open(test, restock(test, id, 1) + restock(test, id, 2, '{'));
      return text(here);
    });
    const answers = answersIn(received);
    expect([statusesOf(answers), saysClose(answers)]).toEqual([
      [201, 400],
      [false, true],
    ]);
    expect(await changesOf(test, id)).toEqual([1]);
  });
});

describe('A service that is told to stop', () => {
  it('answers all that was begun on a connection before it closes it', async () => {
    const stopping = await startTestApp({}, test.database);
    const [first, second] = [await aProduct(test), await aProduct(test)];
    let closed: Promise<void>;
    const lock = {
      sql: LOCK.replace('= $1', '= ANY ($1)'),
      values: [[first.id, second.id]],
      waiters: 2,
      meanwhile: async () => {
        closed = stopping.close();
        await until(async () => !stopping.app.getHttpServer().listening, 'it does not listen any more');
      },
    };
    const received = await whileLocked(test.database, lock, () =>
      text(open(stopping, restock(stopping, first.id, 1) + restock(stopping, second.id, 2))),
    );
    await closed!;
    const answers = answersIn(received);
    expect([statusesOf(answers), saysClose(answers)]).toEqual([
      [201, 201],
      [false, true],
    ]);
  });
});
