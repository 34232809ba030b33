import { EventReader, type Frame, happen, happened, listed, startEventJobs, untilOpen } from '../support/event-stream';
import { aProduct, aReservation, anOrder, dataOf } from '../support/factories';
import { until } from '../support/race';
import { startTestApp, type TestApp } from '../support/test-app';

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

describe('A digest', () => {
  it('counts what has happened since the last one, and names what has changed', async () => {
    await happened(test, 1);
    const reader = await open('?mode=digest');
    const begin = reader.lastId;
    const [hold, order] = [await aProduct(test), await aProduct(test)];
    const reservation = await aReservation(test.admin, hold.id);
    const { id, reservation_id } = await anOrder(test.admin, order.id);
    await until(async () => reader.told.some(({ data }) => data.orders.includes(id)), 'the order is in a digest');
    const events = await listed(test, begin);
    expect(sumOf(reader.told)).toEqual(countsOf(events));
    expect(namedIn(reader.told, 'products')).toEqual([hold.id, order.id].sort());
    expect(namedIn(reader.told, 'reservations')).toEqual([reservation.id, reservation_id].sort());
    expect(namedIn(reader.told, 'orders')).toEqual([id]);
    expect(reader.told.at(-1)).toMatchObject({ event: 'digest', id: reader.lastId });
    expect(await listed(test, reader.lastId)).toEqual([]);
  });

  it('names the products of reservations and orders, also if nothing else tells of them', async () => {
    const products = [await aProduct(test), await aProduct(test)].map(({ id }) => id).sort();
    const readers = await Promise.all(
      ['reservation.created', 'reservation.cancelled', 'order.created'].map((type) =>
        open(`?mode=digest&types=${type}`),
      ),
    );
    const items = products.map((product_id) => ({ product_id, quantity: 1 }));
    dataOf(await test.admin.post('/api/orders', { items }));
    const { id } = dataOf(await test.admin.post('/api/reservations', { items }));
    dataOf(await test.admin.post(`/api/reservations/${id}/cancel`));
    for (const reader of readers) {
      await until(async () => reader.told.length > 0, 'it is told');
      expect(namedIn(reader.told, 'products')).toEqual(products);
    }
  });

  it('names 50 at most, counts all, and comes four times a second at most', async () => {
    const reader = await open('?mode=digest&types=order.created');
    const began = performance.now();
    await happen(test, 1200);
    await until(async () => sumOf(reader.told)['order.created'] === 1200, 'all have been counted');
    expect(reader.told.length).toBeLessThanOrEqual(Math.ceil((performance.now() - began) / 250));
    for (const { data } of reader.told) {
      expect(data.orders).toHaveLength(Math.min(50, data.counts['order.created']));
    }
  });

  it('resumes where it ended', async () => {
    const begin = (await open()).lastId;
    await happened(test, 300);
    const first = await open(`?mode=digest&after=${begin}&types=order.created`);
    await until(async () => sumOf(first.told)['order.created'] === 300, 'all have been counted');
    first.close();
    await happened(test, 20);
    const second = await open('?mode=digest&types=order.created', { 'Last-Event-ID': first.lastId });
    await until(async () => second.told.length > 0, 'it goes on');
    expect(sumOf(second.told)).toEqual({ 'order.created': 20 });
  });
});

function countsOf(events: { type: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  events.forEach(({ type }) => (counts[type] = (counts[type] ?? 0) + 1));
  return counts;
}

function sumOf(digests: Frame[]): Record<string, number> {
  const sum: Record<string, number> = {};
  digests.forEach(({ data }) =>
    Object.entries<number>(data.counts).forEach(([type, count]) => (sum[type] = (sum[type] ?? 0) + count)),
  );
  return sum;
}

function namedIn(digests: Frame[], kind: 'products' | 'reservations' | 'orders'): string[] {
  return [...new Set(digests.flatMap(({ data }) => data[kind] as string[]))].sort();
}
