import type { EntityManager } from 'typeorm';
import { groupBy } from '../../platform/group-by';
import type { Position } from '../../platform/http/cursor';
import type { ReservationStatus, ReservationView } from './reservation.entity';

/** A hold whose time is over reads as expired at once, whether the sweep has seen it or not. */
const VIEW = `
  SELECT reservation.id, reservation.user_id AS "userId",
    CASE WHEN reservation.status = 'active' AND reservation.expires_at <= statement_timestamp() THEN 'expired'
      ELSE reservation.status END AS status,
    reservation.total_amount AS "totalAmount", reservation.currency, reservation.order_id AS "orderId",
    reservation.expires_at AS "expiresAt", reservation.created_at AS "createdAt", reservation.updated_at AS "updatedAt"
  FROM reservations AS reservation`;

const STATUS_IS: Record<ReservationStatus, string> = {
  active: `reservation.status = 'active' AND reservation.expires_at > statement_timestamp()`,
  expired: `(reservation.status = 'expired' OR reservation.status = 'active' AND reservation.expires_at <= statement_timestamp())`,
  committed: `reservation.status = 'committed'`,
  cancelled: `reservation.status = 'cancelled'`,
};

const ITEMS = `
  SELECT item.reservation_id AS "reservationId", item.product_id AS "productId", product.sku, product.name,
    item.warehouse_id AS "warehouseId", item.quantity, item.unit_price AS "unitPrice"
  FROM reservation_items AS item JOIN products AS product ON product.id = item.product_id
  WHERE item.reservation_id = ANY($1)
  ORDER BY item.product_id, item.warehouse_id`;

export interface ReservationFilters {
  userId?: string;
  status?: ReservationStatus;
  productId?: string;
}

export async function findReservation(manager: EntityManager, id: string): Promise<ReservationView | undefined> {
  const [view] = await findReservationsById(manager, [id]);
  return view;
}

/** Those that there are, in no order. */
export async function findReservationsById(manager: EntityManager, ids: string[]): Promise<ReservationView[]> {
  return withItems(manager, await manager.query(`${VIEW} WHERE reservation.id = ANY($1)`, [ids]));
}

/** At most `count` reservations after a position, newest first. */
export async function findReservations(
  manager: EntityManager,
  { userId, status, productId }: ReservationFilters,
  count: number,
  after: Position | undefined,
): Promise<ReservationView[]> {
  const values: unknown[] = [];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const conditions = [
    userId !== undefined && `reservation.user_id = ${bind(userId)}`,
    status !== undefined && STATUS_IS[status],
    productId !== undefined &&
      `EXISTS (SELECT FROM reservation_items AS item WHERE item.reservation_id = reservation.id AND item.product_id = ${bind(productId)})`,
    after && `(reservation.created_at, reservation.id) < (${bind(after.value)}, ${bind(after.id)})`,
  ].filter((condition) => typeof condition === 'string');
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const order = `ORDER BY reservation.created_at DESC, reservation.id DESC LIMIT ${bind(count)}`;
  return withItems(manager, await manager.query(`${VIEW} ${where} ${order}`, values));
}

type ItemRow = ReservationView['items'][number] & { reservationId: string };

async function withItems(manager: EntityManager, rows: Omit<ReservationView, 'items'>[]): Promise<ReservationView[]> {
  if (rows.length === 0) {
    return [];
  }
  const items = await manager.query<ItemRow[]>(ITEMS, [rows.map((row) => row.id)]);
  const byReservation = groupBy(items, (item) => item.reservationId);
  return rows.map((row) => ({ ...row, items: byReservation.get(row.id) ?? [] }));
}
