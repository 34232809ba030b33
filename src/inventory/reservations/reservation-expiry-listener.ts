import { Injectable } from '@nestjs/common';
import type { Tx } from '../../platform/database/tx';

/**
 * Whoever keeps something that lives and dies with a reservation: orders. Inventory does not know them; it calls this
 * in the transaction that ends a hold, so that the pending order behind it ends with it.
 */
export interface ReservationExpiryListener {
  /** Locks the orders, before their reservations are locked, and says which it got: all, unless those in use are skipped. */
  lockOrdersTx(tx: Tx, orderIds: string[], options: { skipLocked: boolean }): Promise<Set<string>>;

  /** Cancels the pending ones among orders that `lockOrdersTx` locked and whose reservations have just ended. */
  cancelOrdersTx(tx: Tx, orderIds: string[], reason: string): Promise<void>;
}

/** Where orders register their listener. Without one, no reservation has an order. */
@Injectable()
export class ReservationExpiryHook implements ReservationExpiryListener {
  private listener?: ReservationExpiryListener;

  register(listener: ReservationExpiryListener): void {
    this.listener = listener;
  }

  async lockOrdersTx(tx: Tx, orderIds: string[], options: { skipLocked: boolean }): Promise<Set<string>> {
    return orderIds.length > 0 && this.listener ? this.listener.lockOrdersTx(tx, orderIds, options) : new Set();
  }

  async cancelOrdersTx(tx: Tx, orderIds: string[], reason: string): Promise<void> {
    if (orderIds.length > 0) {
      await this.listener?.cancelOrdersTx(tx, orderIds, reason);
    }
  }
}
