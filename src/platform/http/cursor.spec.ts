import { InvalidCursor } from '../errors/cursor-errors';
import { Keyset } from './cursor';

interface Row {
  at: string;
  id: string;
}

const id = (digit: number): string => `0199d1a2-7c3e-7b44-9f0e-00000000000${digit}`;
const rows: Row[] = [1, 2, 3].map((digit) => ({ at: `2026-01-0${digit}T10:00:00.123Z`, id: id(digit) }));
const keyset = new Keyset('rows', { q: 'mug', in_stock: true });
const cursorOf = (list: Keyset, row: Row = rows[0]!): string =>
  list.page(
    [row, row],
    1,
    ({ at, id }) => ({ value: at, id }),
    (item) => item,
  ).nextCursor!;
const encode = (parts: unknown): string => Buffer.from(JSON.stringify(parts)).toString('base64url');
const scopeOf = (list: Keyset): unknown =>
  (JSON.parse(Buffer.from(cursorOf(list), 'base64url').toString()) as unknown[])[0];

describe('A keyset cursor', () => {
  it('points to the last row that was shown, if there are more', () => {
    const page = keyset.page(
      rows,
      2,
      ({ at, id }) => ({ value: at, id }),
      ({ id }) => id,
    );
    expect([page.items, page.limit]).toEqual([[id(1), id(2)], 2]);
    expect(keyset.positionOf(page.nextCursor!)).toEqual({ value: rows[1]!.at, id: id(2) });
  });

  it.each([3, 4])('is null when all rows are shown within a limit of %i', (limit) => {
    expect(
      keyset.page(
        rows,
        limit,
        ({ at, id }) => ({ value: at, id }),
        (row) => row,
      ),
    ).toMatchObject({ items: rows, nextCursor: null });
  });

  it('is null for an empty list, and nothing is asked for without one', () => {
    expect(
      keyset.page(
        [] as Row[],
        1,
        ({ at, id }) => ({ value: at, id }),
        (row) => row,
      ),
    ).toMatchObject({ items: [], nextCursor: null });
    expect(keyset.positionOf(undefined)).toBeUndefined();
  });

  it('holds for the same filters in any order, left out or undefined', () => {
    const same = new Keyset('rows', { in_stock: true, user_id: undefined, q: 'mug' });
    expect(same.positionOf(cursorOf(keyset))).toEqual({ value: rows[0]!.at, id: id(1) });
  });

  it.each([
    ['another list', new Keyset('others', { q: 'mug', in_stock: true })],
    ['another filter', new Keyset('rows', { q: 'cup', in_stock: true })],
    ['one filter less', new Keyset('rows', { q: 'mug' })],
    ['one filter more', new Keyset('rows', { q: 'mug', in_stock: true, sort: 'newest' })],
    ['the same filters by another type', new Keyset('rows', { q: 'mug', in_stock: 'true' })],
  ])('does not hold for %s', (_, other) => {
    expect(() => other.positionOf(cursorOf(keyset))).toThrow(InvalidCursor);
  });

  const scope = scopeOf(keyset);
  it.each([
    ['no text', ''],
    ['no base64', '%%%'],
    ['no JSON', Buffer.from('{[').toString('base64url')],
    ['no list', encode({ 0: scope, 1: rows[0]!.at, 2: id(1) })],
    ['null', encode(null)],
    ['a short list', encode([scope, rows[0]!.at])],
    ['another scope', encode(['x', rows[0]!.at, id(1)])],
    ['an id that is no UUID', encode([scope, rows[0]!.at, "' OR 1=1"])],
    ['an id in a list', encode([scope, rows[0]!.at, [id(1)]])],
    ['a day that does not exist', encode([scope, '2026-02-30T10:00:00.123Z', id(1)])],
    ['a time in another form', encode([scope, '2026-01-01', id(1)])],
    ['a time with microseconds', encode([scope, '2026-01-01T10:00:00.123456Z', id(1)])],
    ['an object for a time', encode([scope, {}, id(1)])],
    ['null for a time', encode([scope, null, id(1)])],
  ])('is refused when it is %s', (_, cursor) => {
    expect(() => keyset.positionOf(cursor)).toThrow(InvalidCursor);
  });

  it.each([
    ['amount', '19.90', ['19.9', '-1.00', '1e3', '', `${'9'.repeat(23)}.00`]],
    ['integer', '100', ['1.0', '-1', '', '1234567890', ' 1']],
    ['id', id(2), ['x', '', '2026-01-01T10:00:00.123Z']],
  ] as const)('over a column of kind %s takes only such values', (kind, good, bad) => {
    const list = new Keyset('rows', {}, kind);
    expect(list.positionOf(cursorOf(list, { at: good, id: id(1) }))).toEqual({ value: good, id: id(1) });
    for (const value of bad) {
      expect(() => list.positionOf(encode([scopeOf(list), value, id(1)]))).toThrow(InvalidCursor);
    }
  });
});
