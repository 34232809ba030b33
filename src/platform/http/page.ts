import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsString, MaxLength } from 'class-validator';
import { Optional, QueryWholeNumber } from './validators';

export const DEFAULT_PAGE_SIZE = 20;
export const MAX_PAGE_SIZE = 100;
const COUNTS = ['estimated'] as const;

/** The query parameters of every list; the filters of a list extend it. */
export class PageQuery {
  @ApiPropertyOptional({
    description: 'The largest number of items on a page.',
    minimum: 1,
    maximum: MAX_PAGE_SIZE,
    default: DEFAULT_PAGE_SIZE,
    type: 'integer',
  })
  @QueryWholeNumber({ min: 1, max: MAX_PAGE_SIZE })
  limit: number = DEFAULT_PAGE_SIZE;

  @ApiPropertyOptional({
    description: '`page.next_cursor` of the previous page; filters and sort must be the same.',
    maxLength: 1000,
  })
  @Optional()
  @IsString()
  @MaxLength(1000)
  cursor?: string;

  @ApiPropertyOptional({
    enum: COUNTS,
    description: 'Adds `page.estimated_count`: the approximate number of items on all pages, from statistics.',
  })
  @Optional()
  @IsIn(COUNTS)
  count?: (typeof COUNTS)[number];
}

/** One page of a list, and how to ask for the next. */
export class Page<T> {
  constructor(
    readonly items: T[],
    readonly limit: number,
    readonly nextCursor: string | null,
    /** About how many items there are on all pages. */
    readonly estimatedCount?: number,
  ) {}

  /**
   * The same page with an estimated count, if requested, which never contradicts the page itself.
   * @param cursor the cursor of the request: if the first page is also the last, its items are counted instead
   */
  withEstimate(estimate: number | undefined, cursor: string | undefined): Page<T> {
    if (estimate === undefined) {
      return this;
    }
    const shown = this.items.length + (this.nextCursor === null ? 0 : 1);
    const isAll = cursor === undefined && this.nextCursor === null;
    return new Page(this.items, this.limit, this.nextCursor, isAll ? shown : Math.max(estimate, shown));
  }
}
