import { databaseNow } from '../../platform/database/clock';
import { type LockWait, lockRows } from '../../platform/database/rows.locks';
import { together } from '../../platform/database/together';
import type { Tx } from '../../platform/database/tx';
import { Reservation, type ReservationView } from '../reservations/reservation.entity';
import type { StockLevel } from '../stock/stock.entity';
import { lockLevelsOf } from '../stock/stock.locks';
import type { OrderBook, SnapshotOrders } from './snapshot';

interface Seen {
  readonly orders: SnapshotOrders;
  readonly reservations: ReadonlyMap<string, ReservationView>;
  readonly productIds: readonly string[];
}

interface Locked {
  readonly orders: SnapshotOrders;
  readonly rows: Reservation[];
  readonly levels: StockLevel[];
  readonly now: Date;
}

/**
 * The global order of locks: orders, reservations, stock levels, each sorted by key; then reads the clock. All
 * statements are sent in one round trip. Only `share` waits for the reservations first, and locks the levels of those
 * that it got.
 */
export async function lockAll(tx: Tx, seen: Seen, book: OrderBook, lockWait: LockWait): Promise<Locked> {
  const ids = [...seen.reservations.keys()];
  const lockingOrders = book.lock(tx, seen.orders, lockWait);
  const locking = ids.length > 0 ? lockRows(tx, Reservation, ids, lockWait) : [];
  const productIds = lockWait === 'share' ? productsOf(await locking, seen) : seen.productIds;
  const [orders, rows, levels, now] = await together([
    lockingOrders,
    locking,
    productIds.length > 0 ? lockLevelsOf(tx, productIds, lockWait) : [],
    databaseNow(tx),
  ]);
  return { orders, rows, levels, now };
}

function productsOf(rows: readonly Reservation[], { reservations }: Seen): string[] {
  const items = rows.flatMap(({ id }) => reservations.get(id)!.items);
  return [...new Set(items.map(({ productId }) => productId))];
}
