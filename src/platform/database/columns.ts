import { Column, PrimaryColumn } from 'typeorm';

/**
 * A time in whole milliseconds, which is the precision of a JavaScript Date: a list's cursor that lost the microseconds
 * of its row would skip or repeat others.
 */
export const Moment = (): PropertyDecorator => Column({ type: 'timestamptz', precision: 3 });

/** A time that defaults to now, by the database's clock. */
export const MomentNow = (): PropertyDecorator =>
  Column({ type: 'timestamptz', precision: 3, default: () => 'clock_timestamp()' });

/** The same, as a part of the primary key. */
export const PrimaryMoment = (): PropertyDecorator =>
  PrimaryColumn({ type: 'timestamptz', precision: 3, default: () => 'clock_timestamp()' });

/** The SQL condition that a column has one of these values. The values are constants of our own code. */
export function isOneOf(column: string, values: readonly string[]): string {
  return `${column} IN (${values.map((value) => `'${value}'`).join(', ')})`;
}
