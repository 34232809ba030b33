import { randomUUID } from 'node:crypto';
import { sign } from 'jsonwebtoken';
import { EventReader, happen, happened, idsOf, listed, startEventJobs, untilOpen } from '../support/event-stream';
import { aProduct, anOrder, dataOf } from '../support/factories';
import { until } from '../support/race';
import { JWT_SECRET, startTestApp, type TestApp } from '../support/test-app';

const PATH = '/api/events/stream';

let test: TestApp;
const readers: EventReader[] = [];

beforeAll(async () => {
  test = startEventJobs(await startTestApp());
});
afterEach(async () => {
  jest.restoreAllMocks();
  readers.splice(0).forEach((reader) => reader.close());
  await untilOpen(test, 0);
});
afterAll(() => test.close());

async function open(query = '', headers: Record<string, string> = {}, at = test): Promise<EventReader> {
  const reader = await EventReader.open(at, query, headers);
  readers.push(reader);
  return reader;
}

describe('A stream of events', () => {
  it('tells what happens from now on, as the list has it, with the cursor and the type beside it', async () => {
    await happened(test, 1);
    const reader = await open();
    const begin = reader.lastId;
    const product = await aProduct(test);
    await anOrder(test.admin, product.id);
    const frames = await reader.hasTold(3);
    const events = await listed(test, begin);
    expect(frames).toEqual(events.map((event) => ({ id: event.cursor, event: event.type, data: event })));
  });

  it('says by its head that it is one, which nobody may keep', async () => {
    const { answer, frames } = await open('', { 'X-Request-Id': '0199D1A2-7c3e-7b44-9f0e-3a5b1c2d4e6f' });
    expect([answer.statusCode, answer.headers]).toEqual([
      200,
      expect.objectContaining({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        'x-content-type-options': 'nosniff',
        'x-request-id': '0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f',
        connection: 'close',
      }),
    ]);
    expect(frames[0]).toEqual({ comment: 'connected', id: expect.any(String) });
  });

  it('tells each event of a burst once, in its order, to who follows and to who begins at the beginning', async () => {
    const following = await open('?types=order.created');
    const begin = following.lastId;
    // What is in the feed already takes several readings.
    const ids = await happened(test, 900);
    const bursts = Promise.all([happen(test, 300), happen(test, 450)]);
    const resuming = await open(`?types=order.created&after=${begin}`);
    const anew = await open('?after=beginning');
    ids.push(...(await bursts).flat());
    const told = idsOf(await following.hasTold(ids.length));
    expect([...told].sort()).toEqual(ids.sort());
    expect(idsOf(await resuming.hasTold(ids.length))).toEqual(told);
    await until(async () => idsOf(anew.told).includes(told.at(-1)!), 'it has caught up');
    expect(idsOf(anew.told)).toEqual((await listed(test, 'beginning')).map(({ id }) => id));
    const [last] = await happen(test, 1);
    await until(
      async () => [following, resuming, anew].every(({ told: all }) => all.at(-1)!.data.id === last),
      'it goes on',
    );
    expect([following, resuming].map((reader) => reader.told.length)).toEqual([ids.length + 1, ids.length + 1]);
  });

  it('can be filtered as the list', async () => {
    const [product, other] = [await aProduct(test), await aProduct(test)];
    await happened(test, 1);
    const everything = await open();
    const begin = everything.lastId;
    const upperCase = product.id.toUpperCase();
    const filters = ['&types=stock.adjusted,order.created', '&object_type=stock', `&object_id=${upperCase}`];
    const resuming = await Promise.all(filters.map((filter) => open(`?after=${begin}${filter}`)));
    const following = await Promise.all(filters.map((filter) => open(`?${filter}`)));
    for (const { id } of [product, other]) {
      dataOf(await test.admin.post(`/api/products/${id}/stock-adjustments`, { delta: 1, reason: 'delivery' }));
      await anOrder(test.admin, id);
    }
    const [last] = await happened(test, 1);
    await until(async () => idsOf(everything.told).includes(last!), 'all has been told');
    for (const [index, filter] of filters.entries()) {
      const expected = (await listed(test, begin, filter)).map(({ id }) => id);
      expect(expected.length).toBeGreaterThan(0);
      await Promise.all([resuming[index]!, following[index]!].map((reader) => reader.hasTold(expected.length)));
      expect([filter, idsOf(resuming[index]!.told)]).toEqual([filter, expected]);
      expect([filter, idsOf(following[index]!.told)]).toEqual([filter, expected]);
    }
  });

  it('resumes at another process, without gap and without double, when its own was killed', async () => {
    const own = startEventJobs(await startTestApp({}, test.database));
    const begin = (await open()).lastId;
    const first = await open(`?types=order.created&after=${begin}`, {}, own);
    const ids: string[] = [];
    let isOver = false;
    const writing = (async () => {
      while (!isOver) {
        ids.push(...(await happen(test, 7)));
      }
    })();
    await first.hasTold(50);
    // As if it were killed: every connection is gone, whatever was on its way.
    own.app.getHttpServer().closeAllConnections();
    await first.end();
    const told = idsOf(first.told);
    const second = await open(`?types=order.created&after=${begin}`, { 'Last-Event-ID': first.lastId });
    await second.hasTold(50);
    isOver = true;
    await writing;
    await own.close();
    await until(async () => told.length + second.told.length >= ids.length, 'all has been told');
    const all = [...told, ...idsOf(second.told)];
    expect(all).toEqual((await listed(test, begin, '&types=order.created')).map(({ id }) => id));
    expect([...all].sort()).toEqual([...ids].sort());
  });

  it('has a comment with the cursor each 15 seconds, also if nothing that is wanted happens', async () => {
    jest.useFakeTimers({ doNotFake: ALL_TIMERS_BUT_INTERVALS });
    try {
      const reader = await open('?types=user.registered');
      const begin = reader.lastId;
      const [last] = await happened(test, 3);
      jest.advanceTimersByTime(14_999);
      expect(reader.frames).toHaveLength(1);
      await until(async () => {
        jest.advanceTimersByTime(15_000);
        return reader.frames.length > 1 && reader.lastId !== begin;
      }, 'a heartbeat has come as far as the events');
      expect(reader.frames.at(-1)).toEqual({ comment: 'heartbeat', id: reader.lastId });
      expect((await listed(test, reader.lastId)).map(({ id }) => id)).not.toContain(last);
    } finally {
      jest.useRealTimers();
    }
  });

  it('ends with the token that it was asked for with', async () => {
    const exp = Math.floor(Date.now() / 1000) + 2;
    const token = sign({ sub: randomUUID(), role: 'admin', exp }, JWT_SECRET);
    const reader = await open('', { Authorization: `Bearer ${token}` });
    await reader.end();
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
    expect(reader.frames.at(-1)).toEqual({ comment: 'the token has expired' });
  });

  it('is for administrators', async () => {
    const refused = await Promise.all([test.anonymous.get(PATH), test.aUser().get(PATH)]);
    expect(refused.map(({ status, body }) => [status, body.code])).toEqual([
      [401, 'unauthenticated'],
      [403, 'forbidden'],
    ]);
  });

  it.each([
    ['?mode=half', 'validation_failed'],
    ['?limit=5', 'validation_failed'],
    ['?types=order.eaten', 'validation_failed'],
    ['?object_id=5', 'validation_failed'],
    ['?mode=full&mode=digest', 'validation_failed'],
    [`?after=${'x'.repeat(201)}`, 'validation_failed'],
    ['?after=nonsense', 'invalid_cursor'],
  ])('is refused for %s', async (query, code) => {
    const { status, body } = await test.admin.get(PATH + query);
    expect([status, body.code]).toEqual([400, code]);
  });

  it('is refused for a Last-Event-ID that is no cursor, whatever `after` says', async () => {
    const { status, body } = await test.admin.get(`${PATH}?after=beginning`, { 'Last-Event-ID': 'nonsense' });
    expect([status, body.code]).toEqual([400, 'invalid_cursor']);
  });

  it('is no more than a head for HEAD, and leaves nothing open', async () => {
    const { status, headers } = await fetch(test.url + PATH, {
      method: 'HEAD',
      headers: { Authorization: `Bearer ${test.admin.token}` },
    });
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    await untilOpen(test, 0);
  });
});

const ALL_TIMERS_BUT_INTERVALS = [
  ...(['Date', 'hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate'] as const),
  ...(['clearImmediate', 'setTimeout', 'clearTimeout'] as const),
];
