import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { prepared } from '../../platform/database/prepared';
import type { Tx } from '../../platform/database/tx';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { EventJobs } from '../event-jobs';
import { type EventConsumer, EventConsumers } from '../feed/event-consumers';
import type { EventRow } from '../feed/feed.query';
import { WebhookEndpoint } from './webhook-endpoint.entity';

const PAUSE_MS = 200;
export const TEST_TYPE = 'webhook.test';

type Receiver = Pick<WebhookEndpoint, 'id' | 'types' | 'state'>;

const FIND_RECEIVERS = 'SELECT id, types, state FROM webhook_endpoints';
const INSERT = `
  INSERT INTO webhook_deliveries
    (id, endpoint_id, event_id, event_era, event_tick, event_at, type, object_id, state, last_error)
  SELECT id, endpoint_id, event_id, event_era, event_tick, event_at, type, object_id, state, last_error
  FROM json_populate_recordset(NULL::webhook_deliveries, $1) ON CONFLICT DO NOTHING`;

/** Notes which endpoints are to get an event. Whoever causes an event knows nothing of that. */
@Injectable()
export class WebhookFanOut implements EventConsumer {
  readonly name = 'webhooks';

  constructor(
    private readonly consumers: EventConsumers,
    jobs: EventJobs,
  ) {
    jobs.add('webhook-fan-out', PAUSE_MS, () => this.run());
  }

  /** Notes it for the next events. @returns whether there may be more at once */
  run(): Promise<boolean> {
    return this.consumers.consume(this);
  }

  /** To be called before endpoints change: what is committed later than this transaction goes to them as they are then. */
  async hold(tx: Tx): Promise<void> {
    await this.consumers.hold(tx, this.name);
  }

  async types(tx: Tx): Promise<string[]> {
    const receivers = await findReceivers(tx);
    return receivers.length === 0 ? [] : [...new Set([TEST_TYPE, ...receivers.flatMap(({ types }) => types)])];
  }

  async take({ tx }: UnitOfWork, events: readonly EventRow[]): Promise<void> {
    const receivers = await findReceivers(tx);
    const deliveries = events.flatMap((event) =>
      receivers.filter((receiver) => isFor(receiver, event)).map((receiver) => deliveryOf(receiver, event)),
    );
    await tx.query(prepared(INSERT), [JSON.stringify(deliveries)]);
  }
}

function findReceivers(tx: Tx): Promise<Receiver[]> {
  return tx.query(prepared(FIND_RECEIVERS));
}

function isFor({ id, types }: Receiver, { action, objectId }: EventRow): boolean {
  return action === TEST_TYPE ? objectId === id : types.includes(action);
}

/** What a disabled endpoint misses is noted as dead, so that `recover` finds it. */
function deliveryOf({ id, state }: Receiver, event: EventRow): object {
  const isMissed = state === 'disabled' && event.action !== TEST_TYPE;
  return {
    id: uuidv7(),
    endpoint_id: id,
    event_id: event.id,
    event_era: event.era,
    event_tick: event.tick,
    event_at: event.createdAt,
    type: event.action,
    object_id: event.objectId,
    state: isMissed ? 'dead' : 'pending',
    last_error: isMissed ? 'The endpoint was disabled' : null,
  };
}
