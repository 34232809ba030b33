import { Module } from '@nestjs/common';
import { EventJobs } from './event-jobs';
import { EventConsumers } from './feed/event-consumers';
import { EventFeed } from './feed/event-feed';
import { EventRetention } from './feed/event-retention';
import { EventTicks } from './feed/event-ticks';
import { EventsController } from './feed/events.controller';

@Module({
  controllers: [EventsController],
  providers: [EventJobs, EventFeed, EventConsumers, EventTicks, EventRetention],
})
export class EventsModule {}
