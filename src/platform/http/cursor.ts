import { createHash } from 'node:crypto';
import { isUUID } from 'class-validator';
import stringify from 'safe-stable-stringify';
import { InvalidCursor } from '../errors/cursor-errors';
import { Page } from './page';

/** Where a page ended: the value of the column that the list is sorted by, as text, and the id that breaks ties. */
export interface Position {
  readonly value: string;
  readonly id: string;
}

type KindOfValue = 'time' | 'amount' | 'integer' | 'id';

const IS_A: Record<KindOfValue, (value: string) => boolean> = {
  time: isTimestamp,
  amount: (value) => /^\d{1,22}\.\d{2}$/.test(value),
  integer: (value) => /^\d{1,9}$/.test(value),
  // In a list sorted by id, both are the same.
  id: (value) => isUUID(value),
};

/**
 * A keyset cursor for one list with one set of filters and one sort order: base64url of `[value, id, check]`, where the
 * check is a hash of list, filters, sort and position. It points between rows, so added or removed rows shift nothing.
 */
export class Keyset {
  constructor(
    private readonly list: string,
    private readonly filters: object,
    private readonly kind: KindOfValue = 'time',
  ) {}

  /** @throws InvalidCursor if the text is not a cursor that was made for this list, these filters and this sort order */
  positionOf(cursor: string | undefined): Position | undefined {
    if (cursor === undefined) {
      return undefined;
    }
    const [value, id] = decode(cursor).map(String);
    if (value === undefined || !isUUID(id) || !IS_A[this.kind](value) || this.encode({ value, id: id! }) !== cursor) {
      throw new InvalidCursor();
    }
    return { value, id: id! };
  }

  /** Makes a page from `rows`, which were queried with a limit of one more than the page's. */
  page<Row, T>(rows: Row[], limit: number, at: (row: Row) => Position, toItem: (row: Row) => T): Page<T> {
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    const next = rows.length > limit && last !== undefined ? this.encode(at(last)) : null;
    return new Page(shown.map(toItem), limit, next);
  }

  private encode({ value, id }: Position): string {
    const check = createHash('sha256')
      .update(stringify([this.list, this.filters, value, id]))
      .digest('base64url');
    return Buffer.from(JSON.stringify([value, id, check.slice(0, 16)])).toString('base64url');
  }
}

function decode(cursor: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

/** Years before 1 and after 9999 have a JavaScript notation that PostgreSQL does not accept. */
const FOUR_DIGIT_YEAR = /^(?!0000)\d{4}-/;

/** Whether it is a timestamp in the project's format; the round trip rejects a 30th of February. */
function isTimestamp(value: string): boolean {
  const moment = new Date(value);
  return FOUR_DIGIT_YEAR.test(value) && !Number.isNaN(moment.getTime()) && moment.toISOString() === value;
}
