import { Module } from '@nestjs/common';
import { StockAlerts } from './alerts/stock-alerts';
import { EventJobs } from './event-jobs';
import { EventConsumers } from './feed/event-consumers';
import { EventFeed } from './feed/event-feed';
import { EventRetention } from './feed/event-retention';
import { EventTicks } from './feed/event-ticks';
import { EventsController } from './feed/events.controller';
import { EventStreams } from './stream/event-streams';
import { EventTail } from './stream/event-tail';
import { StreamController } from './stream/stream.controller';

@Module({
  controllers: [EventsController, StreamController],
  providers: [
    ...[EventJobs, EventFeed, EventConsumers, EventTicks, EventRetention],
    ...[EventTail, EventStreams],
    ...[StockAlerts],
  ],
})
export class EventsModule {}
