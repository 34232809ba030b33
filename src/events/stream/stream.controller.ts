import { Controller, Get, Headers, Query, Res } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiProduces, ApiPropertyOptional, ApiResponse, ApiTags } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import type { FastifyReply } from 'fastify';
import { ApiProblems } from '../../platform/http/api-docs';
import { Roles } from '../../platform/security/access.decorators';
import { millisecondsLeft } from '../../platform/security/claims';
import { EventFilterQuery, filtersOf } from '../feed/events.dto';
import { STREAM_MODES, type StreamMode } from './event-stream';
import { EventStreams } from './event-streams';

class EventStreamQuery extends EventFilterQuery {
  @ApiPropertyOptional({ enum: STREAM_MODES, default: 'full' })
  @IsIn(STREAM_MODES)
  mode: StreamMode = 'full';
}

const DESCRIPTION = `Server-Sent Events, for as long as the token is valid.

\`mode=full\`: each event, with its \`cursor\` as \`id\`, its type as \`event\` and itself as \`data\`.
\`mode=digest\`: if anything has happened, a frame each 250 ms with \`event: digest\`, the cursor as \`id\`, and as \`data\`
\`{ "counts": { "<type>": n }, "products": [id], "reservations": [id], "orders": [id] }\`, with at most 50 ids of each.

A comment every 15 seconds shows that the stream lives. When it ends, go on with the last \`id\` as \`Last-Event-ID\` (or as
\`after\`), at any process: nothing is lost, nothing comes twice. After \`event: resync\` it ends too: with the reason \`lagging\`
because more than 1 MB was waiting to be read, so go on from the last \`id\` or show everything anew; with \`cursor_expired\`
because what comes next is no longer kept. A process has at most 200 streams; then it answers 503.`;

@ApiTags('Events')
@Controller('api/events/stream')
@Roles('admin')
export class StreamController {
  constructor(private readonly streams: EventStreams) {}

  @Get()
  @ApiOperation({ summary: 'What happens, as it happens', description: DESCRIPTION })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'As `after`, and instead of it.' })
  @ApiProduces('text/event-stream')
  @ApiResponse({ status: 200, description: 'The stream.', schema: { type: 'string' } })
  @ApiProblems('invalid_cursor', 'cursor_expired')
  async stream(
    @Query() query: EventStreamQuery,
    @Headers() headers: Record<string, string | undefined>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    await this.streams.answer(reply, {
      mode: query.mode,
      filters: filtersOf(query),
      after: headers['last-event-id'] || query.after,
      expiresInMs: millisecondsLeft(headers['authorization']),
    });
  }
}
