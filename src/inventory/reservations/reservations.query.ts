import sql, { empty, raw, type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { groupBy } from '../../platform/group-by';
import { queryRows, where } from '../../platform/database/fragments';
import { together } from '../../platform/database/together';
import type { Position } from '../../platform/http/cursor';
import { IS_OVERDUE, type ReservationFilters, reservationIdsQuery, STATUS_SHOWN } from './reservation-list.query';
import type { HeldItem, Reservation, ReservationView } from './reservation.entity';

/** A hold whose time is over reads as expired at once, and as the sweep will write it. */
const VIEW = `
  SELECT reservation.id, reservation.user_id AS "userId", reservation.total_amount AS "totalAmount", reservation.currency,
    ${STATUS_SHOWN} AS status,
    reservation.order_id AS "orderId", reservation.expires_at AS "expiresAt", reservation.created_at AS "createdAt",
    CASE WHEN ${IS_OVERDUE} THEN reservation.expires_at ELSE reservation.updated_at END AS "updatedAt"
  FROM reservations AS reservation`;

const ITEMS = `
  SELECT item.reservation_id AS "reservationId", item.product_id AS "productId", product.sku, product.name,
    item.warehouse_id AS "warehouseId", item.quantity, item.unit_price AS "unitPrice"
  FROM reservation_items AS item JOIN products AS product ON product.id = item.product_id
  WHERE item.reservation_id = ANY($1)
  ORDER BY item.product_id, item.warehouse_id`;

export async function findReservation(manager: EntityManager, id: string): Promise<ReservationView | undefined> {
  const [rows, items] = await together([
    manager.query<Reservation[]>(`${VIEW} WHERE reservation.id = $1`, [id]),
    findItems(manager, [id]),
  ]);
  return withItems(rows, items)[0];
}

export function withItems(
  reservations: readonly Reservation[],
  items: ReadonlyMap<string, HeldItem[]>,
): ReservationView[] {
  return reservations.map((one) => ({ ...one, items: items.get(one.id) ?? [] }));
}

/** What these reservations hold, by their ids. */
export async function findItems(manager: EntityManager, ids: string[]): Promise<Map<string, HeldItem[]>> {
  const items = await manager.query<(HeldItem & { reservationId: string })[]>(ITEMS, [ids]);
  return groupBy(items, (item) => item.reservationId);
}

/** At most `count` reservations after a position, newest first. */
export async function findReservations(
  manager: EntityManager,
  filters: ReservationFilters,
  count: number,
  after: Position | undefined,
): Promise<ReservationView[]> {
  const rows = await queryRows<Reservation>(manager, reservationsQuery(filters, count, after));
  if (rows.length === 0) {
    return [];
  }
  const items = await findItems(
    manager,
    rows.map((row) => row.id),
  );
  return withItems(rows, items);
}

/** The statement of `findReservations`, but for the items. */
export function reservationsQuery(filters: ReservationFilters, count: number, after: Position | undefined): Sql {
  const ids = reservationIdsQuery(filters, count, after);
  return sql`${raw(VIEW)} WHERE reservation.id = ANY (ARRAY(${ids})) ORDER BY reservation.id DESC`;
}

/** About all of them, in no order, for an estimate. */
export function selectReservations({ userId, status, productId }: ReservationFilters): Sql {
  const is = (column: string, value: unknown): Sql[] => (value === undefined ? [] : [sql`${raw(column)} = ${value}`]);
  const conditions = [...is('reservations.user_id', userId), ...is('status', status), ...is('product_id', productId)];
  const items = productId === undefined ? empty : sql`JOIN reservation_items ON reservation_id = id`;
  return sql`SELECT FROM reservations ${items} ${where(conditions)}`;
}
