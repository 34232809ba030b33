import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { momentOf } from './validators';

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Keeps the rows whose `column` lies between the two, both inclusive. Rows have whole milliseconds, so the last moment
 * of a bare day is one millisecond before the next.
 */
export function whereBetween<Row extends ObjectLiteral>(
  query: SelectQueryBuilder<Row>,
  column: string,
  { start_date, end_date }: { start_date?: string; end_date?: string },
): void {
  const start = start_date === undefined ? undefined : momentOf(start_date);
  const end = end_date === undefined ? undefined : momentOf(end_date);
  if (start) {
    query.andWhere(`${column} >= :startDate`, { startDate: start.at });
  }
  if (end) {
    query.andWhere(`${column} <= :endDate`, { endDate: new Date(end.at.getTime() + (end.isDay ? DAY_MS - 1 : 0)) });
  }
}
