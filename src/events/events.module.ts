import { Module } from '@nestjs/common';
import { StockAlerts } from './alerts/stock-alerts';
import { EventJobs } from './event-jobs';
import { EventConsumers } from './feed/event-consumers';
import { EventFeed } from './feed/event-feed';
import { EventRetention } from './feed/event-retention';
import { EventTicks } from './feed/event-ticks';
import { EventsController } from './feed/events.controller';

@Module({
  controllers: [EventsController],
  providers: [EventJobs, EventFeed, EventConsumers, EventTicks, EventRetention, StockAlerts],
})
export class EventsModule {}
