import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { NotFound } from '../../platform/errors/domain-errors';
import { ApiData, ApiPage, ApiProblems } from '../../platform/http/api-docs';
import { Page } from '../../platform/http/page';
import { IdParam } from '../../platform/http/params';
import { Roles } from '../../platform/security/access.decorators';
import { EventFeed } from './event-feed';
import { cursorOf, positionOf } from './event-position';
import { EventResponse, EventsQuery, filtersOf, toEventResponse } from './events.dto';

@ApiTags('Events')
@Controller('api/events')
@Roles('admin')
export class EventsController {
  constructor(private readonly feed: EventFeed) {}

  @Get()
  @ApiOperation({
    summary: 'What has happened, oldest first',
    description:
      'Everything that was committed, once, in one order that never changes. Keep `next_cursor`, which is always given, ' +
      'and ask again with it as `after`: a page may be short or empty though more is to come.',
  })
  @ApiPage(EventResponse, 'The next events.')
  @ApiProblems('invalid_cursor', 'cursor_expired')
  async list(@Query() query: EventsQuery): Promise<Page<EventResponse>> {
    const { after, limit } = query;
    if (after === undefined) {
      return new Page([], limit, cursorOf(await this.feed.end()));
    }
    const position = after === 'beginning' ? await this.feed.beginning() : positionOf(after);
    const { events, next } = await this.feed.read(position, filtersOf(query), limit);
    return new Page(events.map(toEventResponse), limit, cursorOf(next));
  }

  @Get(':id')
  @ApiOperation({ summary: 'One event' })
  @ApiData(EventResponse, 'The event.')
  @ApiProblems('not_found')
  async get(@IdParam() id: string): Promise<EventResponse> {
    const event = await this.feed.find(id);
    if (!event) {
      throw new NotFound('event', id);
    }
    return toEventResponse(event);
  }
}
