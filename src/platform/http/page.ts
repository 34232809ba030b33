import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString, MaxLength } from 'class-validator';
import { Optional, QueryWholeNumber } from './validators';

export const DEFAULT_PAGE_SIZE = 20;
export const MAX_PAGE_SIZE = 100;

/** What every list takes; the filters of a list extend it. */
export class PageQuery {
  @ApiPropertyOptional({
    description: 'How many to answer at most.',
    minimum: 1,
    maximum: MAX_PAGE_SIZE,
    default: DEFAULT_PAGE_SIZE,
    type: 'integer',
  })
  @QueryWholeNumber({ min: 1, max: MAX_PAGE_SIZE })
  limit: number = DEFAULT_PAGE_SIZE;

  @ApiPropertyOptional({
    description: '`page.next_cursor` of the page before; it belongs to the same filters and sort.',
    maxLength: 1000,
  })
  @Optional()
  @IsString()
  @MaxLength(1000)
  cursor?: string;
}

/** One page of a list, and how to ask for the next. */
export class Page<T> {
  constructor(
    readonly items: T[],
    readonly limit: number,
    readonly nextCursor: string | null,
  ) {}
}
