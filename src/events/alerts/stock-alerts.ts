import { Injectable } from '@nestjs/common';
import type { AuditAction } from '../../audit/audit-action';
import { AuditService } from '../../audit/audit.service';
import type { UnitOfWork } from '../../platform/database/unit-of-work';
import { EventJobs } from '../event-jobs';
import { EventConsumers } from '../feed/event-consumers';
import { type EventRow, findEvents, findTicks, type TickCounts } from '../feed/feed.query';
import { findTouchedProducts, findWatchedStock, type WatchedStock, writeStates } from './stock-alerts.query';
import { firstState, judgeStock, type StockCrossing, type StockState } from './stock-state';

const JOB = 'stock-alerts';
const PAUSE_MS = 500;
const CREATED = 'product.created';

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
export class StockAlerts {
  constructor(
    private readonly consumers: EventConsumers,
    private readonly audit: AuditService,
    jobs: EventJobs,
  ) {
    jobs.add(JOB, PAUSE_MS, () => this.judge());
  }

  /**
   * Judges each product of the next events once, by its stock of now: what was between the events is over.
   * @returns whether there may be more
   */
  judge(): Promise<boolean> {
    return this.consumers.advance(JOB, async (unit, after) => {
      const ticks = await findTicks(unit.tx, after, TYPES);
      const to = ticks.at(-1);
      if (to === undefined) {
        return after;
      }
      const range = { after, to };
      const productIds = await findTouchedProducts(unit.tx, range, TYPES);
      const created = await findEvents(unit.tx, { ...range, limit: numberOf(CREATED, ticks) }, { types: [CREATED] });
      await this.judgeProducts(unit, productIds, new Map(created.map(firstStateOf)));
      return { era: to.era, tick: to.id };
    });
  }

  /** @param first states of those that are new */
  private async judgeProducts(
    unit: UnitOfWork,
    productIds: readonly string[],
    first: ReadonlyMap<string, StockState>,
  ): Promise<void> {
    const watched = await findWatchedStock(unit.tx, productIds);
    const judged = watched.map((stock) => judge(stock, first.get(stock.productId)));
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

/** How many events of a type these ticks have. */
function numberOf(type: AuditAction, ticks: readonly TickCounts[]): number {
  return ticks.reduce((sum, { counts }) => sum + (counts[type] ?? 0), 0);
}

function firstStateOf({ objectId, newValue }: EventRow): [string, StockState] {
  const { initial_stock, low_stock_threshold } = newValue as Record<'initial_stock' | 'low_stock_threshold', number>;
  return [objectId, firstState({ available: initial_stock, threshold: low_stock_threshold })];
}
