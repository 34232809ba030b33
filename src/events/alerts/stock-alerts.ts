import { Injectable } from '@nestjs/common';
import type { AuditAction } from '../../audit/audit-action';
import { AuditService } from '../../audit/audit.service';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { EventJobs } from '../event-jobs';
import { type EventConsumer, EventConsumers } from '../feed/event-consumers';
import type { EventRow } from '../feed/feed.query';
import { findWatchedStock, type WatchedStock, writeStates } from './stock-alerts.query';
import { firstState, judgeStock, type StockCrossing, type StockState } from './stock-state';

const PAUSE_MS = 500;

/**
 * What may change how much of a product is available, or at how many it is low. A hold that is extended or committed just
 * before its end may have been seen as overdue.
 */
const TYPES: readonly AuditAction[] = [
  ...(['product.created', 'product.updated', 'stock.adjusted', 'stock.transferred'] as const),
  ...(['reservation.created', 'reservation.extended', 'reservation.committed'] as const),
  ...(['reservation.cancelled', 'reservation.expired', 'order.status_changed'] as const),
];

interface Judged extends WatchedStock {
  readonly crossings: readonly StockCrossing[];
  /** As it was written last. */
  readonly before: StockState;
}

/** Tells when the stock of a product becomes low, is depleted, or is replenished: once each time, whoever looks. */
@Injectable()
export class StockAlerts implements EventConsumer {
  readonly name = 'stock-alerts';

  constructor(
    private readonly consumers: EventConsumers,
    private readonly audit: AuditService,
    jobs: EventJobs,
  ) {
    jobs.add(this.name, PAUSE_MS, () => this.judge());
  }

  /** Judges the products of the next events. @returns whether there may be more */
  judge(): Promise<boolean> {
    return this.consumers.consume(this);
  }

  types(): Promise<readonly AuditAction[]> {
    return Promise.resolve(TYPES);
  }

  /** Judges each product once, by its stock of now: what was between the events is over. */
  async take(unit: UnitOfWork, events: readonly EventRow[]): Promise<void> {
    const productIds = new Set(events.flatMap(productIdsOf));
    const created = new Map(events.filter(({ action }) => action === 'product.created').map(firstStateOf));
    const watched = await findWatchedStock(unit.tx, [...productIds]);
    const judged = watched.map((stock) => judge(stock, created.get(stock.productId)));
    writeStates(
      unit,
      judged.filter(({ state, before }) => state !== before),
    );
    this.audit.record(
      unit,
      ...judged.flatMap(({ productId, crossings, available, threshold }) =>
        crossings.map((action) => ({
          action,
          objectId: productId,
          newValue: { available, low_stock_threshold: threshold },
        })),
      ),
    );
  }
}

/** @param first of a product that is new */
function judge(stock: WatchedStock, first: StockState | undefined): Judged {
  const before = stock.state;
  const state = before === 'ok' && first !== undefined ? first : before;
  const judgement = stock.isActive ? judgeStock(state, stock) : { state, crossings: [] };
  return { ...stock, before, ...judgement };
}

function productIdsOf({ action, objectId, newValue }: EventRow): string[] {
  if (action.startsWith('product.') || action.startsWith('stock.')) {
    return [objectId];
  }
  const { product_ids, items = [] } = newValue as { product_ids?: string[]; items?: { product_id: string }[] };
  return product_ids ?? items.map(({ product_id }) => product_id);
}

function firstStateOf({ objectId, newValue }: EventRow): [string, StockState] {
  const { initial_stock, low_stock_threshold } = newValue as Record<'initial_stock' | 'low_stock_threshold', number>;
  return [objectId, firstState({ available: initial_stock, threshold: low_stock_threshold })];
}
