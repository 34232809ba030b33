import { ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery } from './page';
import { IsMomentOrDay, IsRangeEnd, momentOf, Optional } from './validators';

const DAY_MS = 24 * 60 * 60 * 1000;

const IsDateRangeEnd = (): PropertyDecorator =>
  IsRangeEnd({
    first: 'start_date',
    last: 'end_date',
    isCrossed: (start_date, end_date) => {
      const { start, end } = boundsOf({ start_date, end_date });
      return start !== undefined && end !== undefined && start > end;
    },
    message: 'start_date must not be after end_date',
  });

/** The query of a list that can be filtered by time. */
export class DateRangeQuery extends PageQuery {
  @ApiPropertyOptional({
    description: 'RFC 3339 time, or a day (from its first moment, UTC). Inclusive; not after `end_date`.',
    example: '2026-01-01',
  })
  @Optional()
  @IsMomentOrDay()
  @IsDateRangeEnd()
  start_date?: string;

  @ApiPropertyOptional({
    description: 'RFC 3339 time, or a day (to its last moment, UTC). Inclusive; not before `start_date`.',
    example: '2026-01-31',
  })
  @Optional()
  @IsMomentOrDay()
  @IsDateRangeEnd()
  end_date?: string;
}

/**
 * The first and the last time of a range, if given. Rows have whole milliseconds, so the last time of a bare day is one
 * millisecond before the next day.
 */
export function boundsOf({ start_date, end_date }: Pick<DateRangeQuery, 'start_date' | 'end_date'>): {
  start?: Date;
  end?: Date;
} {
  const start = start_date === undefined ? undefined : momentOf(start_date);
  const end = end_date === undefined ? undefined : momentOf(end_date);
  return { start: start?.at, end: end && new Date(end.at.getTime() + (end.isDay ? DAY_MS - 1 : 0)) };
}
