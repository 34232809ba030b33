import { Module } from '@nestjs/common';
import { StockAlerts } from './alerts/stock-alerts';
import { EventJobs } from './event-jobs';
import { ConsumerLag } from './feed/consumer-lag';
import { EventConsumers } from './feed/event-consumers';
import { EventFeed } from './feed/event-feed';
import { EventRetention } from './feed/event-retention';
import { EventTicks } from './feed/event-ticks';
import { EventsController } from './feed/events.controller';
import { MailQueue } from './mail/mail-queue';
import { MailRetention } from './mail/mail-retention';
import { MailSender } from './mail/mail-sender';
import { MailTransport } from './mail/mail-transport';
import { EventStreams } from './stream/event-streams';
import { EventTail } from './stream/event-tail';
import { StreamController } from './stream/stream.controller';
import { WebhookClient } from './webhooks/webhook-client';
import { WebhookDeliverer } from './webhooks/webhook-deliverer';
import { WebhookDeliveriesController } from './webhooks/webhook-deliveries.controller';
import { WebhookDeliveriesService } from './webhooks/webhook-deliveries.service';
import { WebhookEndpointsController } from './webhooks/webhook-endpoints.controller';
import { WebhookEndpointsService } from './webhooks/webhook-endpoints.service';
import { WebhookFanOut } from './webhooks/webhook-fan-out';
import { WebhookMetrics } from './webhooks/webhook-metrics';
import { WebhookOutcomes } from './webhooks/webhook-outcomes';
import { WebhookRetention } from './webhooks/webhook-retention';
import { WebhookSecretIssuer } from './webhooks/webhook-secret-issuer';
import { WebhookSecrets } from './webhooks/webhook-secrets';
import { WebhookSender } from './webhooks/webhook-sender';

@Module({
  controllers: [EventsController, StreamController, WebhookEndpointsController, WebhookDeliveriesController],
  providers: [
    ...[EventJobs, EventFeed, EventConsumers, ConsumerLag, EventTicks, EventRetention],
    ...[EventTail, EventStreams],
    ...[StockAlerts, MailTransport, MailQueue, MailSender, MailRetention],
    ...[WebhookFanOut, WebhookDeliverer, WebhookSender, WebhookClient, WebhookOutcomes],
    ...[WebhookEndpointsService, WebhookDeliveriesService, WebhookSecretIssuer, WebhookSecrets],
    ...[WebhookRetention, WebhookMetrics],
  ],
})
export class EventsModule {}
