import { Injectable } from '@nestjs/common';
import type { Cause } from '../../platform/context/request-context';
import type { LockOptions } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';

/**
 * Whoever keeps something that lives and dies with a reservation: orders. Inventory does not know them; it calls this
 * in the transaction that ends a hold, so that the pending order behind it ends with it.
 */
export interface ReservationExpiryListener {
  /** Locks the orders, before their reservations are locked. */
  lockOrdersTx(tx: Tx, orderIds: string[], options: LockOptions): Promise<LockedOrders>;
}

export interface LockedOrders {
  /** Those that there are, but for those that were skipped. */
  readonly ids: ReadonlySet<string>;

  /** Cancels the pending ones among those behind holds that end now: sends that, to be committed with. */
  cancel(ended: readonly EndedHold[], reason: string): void;
}

export interface EndedHold {
  readonly of: { readonly orderId: string | null };
  readonly at: Date;
  /** Who ends it in which request, if those are not the context's. */
  readonly cause?: Cause;
}

const NO_ORDERS: LockedOrders = { ids: new Set(), cancel: () => undefined };

/** Where orders register their listener. Without one, no reservation has an order. */
@Injectable()
export class ReservationExpiryHook implements ReservationExpiryListener {
  private listener?: ReservationExpiryListener;

  register(listener: ReservationExpiryListener): void {
    this.listener = listener;
  }

  async lockOrdersTx(tx: Tx, orderIds: string[], options: LockOptions): Promise<LockedOrders> {
    return orderIds.length > 0 && this.listener ? this.listener.lockOrdersTx(tx, orderIds, options) : NO_ORDERS;
  }
}
