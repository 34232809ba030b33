import { connect } from 'node:net';
import { EventJobs } from '../../src/events/event-jobs';
import { EventFeed } from '../../src/events/feed/event-feed';
import { EventRetention } from '../../src/events/feed/event-retention';
import { EventTicks } from '../../src/events/feed/event-ticks';
import { SweepSchedule } from '../../src/inventory/reservations/sweep-schedule';
import { DatabaseProxy } from '../support/database-proxy';
import { EventReader, happen, happened, idsOf, metricOf, startEventJobs, untilOpen } from '../support/event-stream';
import { logLines } from '../support/log-lines';
import { until } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

const PATH = '/api/events/stream';
const MOST_STREAMS = 200;

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

async function openUnread({ url }: TestApp = test, query = ''): Promise<EventReader> {
  const reader = await EventReader.openUnread(url + PATH + query, { Authorization: `Bearer ${test.admin.token}` });
  readers.push(reader);
  return reader;
}

/** Lets large events happen until a stream has been cut because its reader lags; says how many. */
async function untilOneIsCut(healthy: EventReader, at = test): Promise<number> {
  const cuts = 'holdfast_event_stream_cuts_total{reason="lagging"}';
  const before = await metricOf(at, cuts);
  let happening = 0;
  // The system's own buffers take some megabytes too.
  while ((await metricOf(at, cuts)) === before && happening < 2000) {
    await happen(test, 50, 20_000);
    await healthy.hasTold((happening += 50));
  }
  expect(await metricOf(at, cuts)).toBe(before + 1);
  return happening;
}

describe('The streams of a process', () => {
  it('are 200 at most, and nothing is left of one that was closed', async () => {
    await Promise.all(Array.from({ length: MOST_STREAMS }, () => open()));
    const { status, body, headers } = await test.admin.get(PATH);
    expect([status, body.code, headers['retry-after']]).toEqual([503, 'overloaded', '1']);
    readers.pop()!.close();
    await untilOpen(test, MOST_STREAMS - 1);
    const reader = await open('?types=order.created');
    const [id] = await happen(test, 1);
    expect(idsOf(await reader.hasTold(1))).toEqual([id]);
  });

  it('ask the database nothing when there are none', async () => {
    const look = jest.spyOn(EventFeed.prototype, 'end');
    const tick = jest.spyOn(EventTicks.prototype, 'tick');
    await open();
    await until(async () => look.mock.calls.length > 2, 'the tail looks');
    readers.pop()!.close();
    await untilOpen(test, 0);
    [look, tick].forEach((spy) => spy.mockClear());
    await until(async () => tick.mock.calls.length > 2, 'time passes');
    expect(look).not.toHaveBeenCalled();
  });

  it('are closed with their connection, also those that wait for another one on it', async () => {
    const ask = `GET ${PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${test.admin.token}\r\n\r\n`;
    const socket = connect(Number(new URL(test.url).port), '127.0.0.1');
    socket.write(ask + ask);
    await untilOpen(test, 2);
    socket.destroy();
    await untilOpen(test, 0);
  });

  it('cut a reader that lags by more than a megabyte, and tell it to begin anew', async () => {
    const healthy = await open('?types=order.created');
    const lagging = await openUnread();
    const happening = await untilOneIsCut(healthy);
    lagging.read();
    await lagging.end();
    expect(lagging.frames.at(-1)).toEqual({ event: 'resync', data: { reason: 'lagging' } });
    expect(healthy.hasEnded).toBe(false);
    const resumed = await open('?types=order.created', { 'Last-Event-ID': lagging.lastId });
    await resumed.hasTold(happening - lagging.told.length + 1);
    expect([...idsOf(lagging.told.slice(0, -1)), ...idsOf(resumed.told)]).toEqual(idsOf(healthy.told));
  });

  it('let a reader that resumes take its time: what is new waits until it has come as far', async () => {
    const healthy = await open('?types=order.created');
    // More than the system's own buffers take.
    const earlier = await happen(test, 300, 80_000);
    await healthy.hasTold(earlier.length);
    const resuming = await openUnread(test, `?types=order.created&after=${healthy.frames[0]!.id}`);
    const [later] = await happen(test, 1);
    await healthy.hasTold(earlier.length + 1);
    resuming.read();
    expect(idsOf(await resuming.hasTold(earlier.length + 1))).toEqual(idsOf(healthy.told));
    expect(idsOf(healthy.told).at(-1)).toBe(later);
  });

  it('end when the process stops, to the last byte, before anything else is waited for', async () => {
    const stopping = startEventJobs(await startTestApp({}, test.database));
    const reader = await open('', {}, stopping);
    for (const { prototype } of [SweepSchedule, EventJobs]) {
      const stop = prototype.onModuleDestroy;
      jest.spyOn(prototype, 'onModuleDestroy').mockImplementation(async function (this: SweepSchedule & EventJobs) {
        await reader.end();
        await stop.call(this);
      });
    }
    await stopping.app.close();
    expect(reader.answer.complete).toBe(true);
  });

  it('are cut when the process stops if their readers do not take the rest', async () => {
    const stopping = startEventJobs(await startTestApp({}, test.database));
    await openUnread(stopping);
    await untilOneIsCut(await open('', {}, stopping), stopping);
    const began = performance.now();
    await stopping.app.close();
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('waits while the database is away, and goes on', async () => {
    const proxy = await DatabaseProxy.before(test.database.url);
    const behind = await startTestApp({}, { ...test.database, url: proxy.url });
    const lines = logLines();
    startEventJobs(behind);
    const reader = await open('?types=order.created', {}, behind);
    await happen(test, 1);
    await reader.hasTold(1);
    proxy.goAway();
    await until(async () => lines.some(({ job }) => job === 'event-tail'), 'it has noticed');
    const [id] = await happened(test, 1);
    proxy.comeBack();
    expect(idsOf(await reader.hasTold(2))[1]).toBe(id);
    expect(lines.filter(({ job, level }) => job === 'event-tail' && level === 'error')).toHaveLength(1);
    reader.close();
    await behind.app.close();
    await proxy.close();
  });
});

describe('What is no longer kept', () => {
  it('cannot be gone on from in the middle of a tick that is gone', async () => {
    const reader = await open();
    const together = await happened(test, 2);
    await happened(test, 1);
    const [first, second] = await reader.hasTold(3);
    expect(idsOf([first!, second!]).sort()).toEqual(together.sort());
    await test.database.query("UPDATE event_ticks SET at = at - interval '31 days'");
    await test.app.get(EventRetention, { strict: false }).purge();
    for (const path of ['/api/events', PATH]) {
      const { status, body } = await test.admin.get(`${path}?after=${first!.id}`);
      expect([status, body.code]).toEqual([410, 'cursor_expired']);
    }
  });

  it('is refused at the beginning, with the oldest cursor, and ends a stream that had come no further', async () => {
    const reader = await open();
    await happened(test, 1);
    const { lastId } = reader;
    const cuts = 'holdfast_event_stream_cuts_total{reason="cursor_expired"}';
    const before = await metricOf(test, cuts);
    // As if many ticks had been made since then, all but the last of which are no longer kept.
    await test.database.query(`
      DELETE FROM event_ticks USING event_head WHERE (event_ticks.era, id) < (event_head.era, tick);
      UPDATE event_ticks SET id = id + 1000;
      UPDATE event_head SET tick = tick + 1000`);
    await reader.end();
    const oldest_cursor = expect.any(String);
    expect(reader.frames.at(-1)).toEqual({ event: 'resync', data: { reason: 'cursor_expired', oldest_cursor } });
    expect(await metricOf(test, cuts)).toBe(before + 1);
    const refused = await test.admin.get(PATH, { 'Last-Event-ID': lastId });
    expect([refused.status, refused.body]).toEqual([
      410,
      expect.objectContaining({ code: 'cursor_expired', oldest_cursor }),
    ]);
    const resumed = await open(`?after=${reader.frames.at(-1)!.data.oldest_cursor}`);
    const [id] = await happen(test, 1);
    await until(async () => idsOf(resumed.told).includes(id!), 'it goes on');
  });
});
