import sql, { empty, raw, type Sql } from 'sql-template-tag';
import type { EntityManager } from 'typeorm';
import { columnsOf, queryRows, where } from '../../platform/database/fragments';
import { prepared } from '../../platform/database/prepared';
import type { Position } from '../../platform/http/cursor';
import { IS_OVERDUE, type ReservationFilters, reservationIdsQuery } from './reservation-list.query';
import { Reservation, type ReservationView } from './reservation.entity';

const ITEMS = `
  (SELECT coalesce(json_agg(json_build_object(
      'productId', item.product_id, 'sku', product.sku, 'name', product.name, 'warehouseId', item.warehouse_id,
      'quantity', item.quantity, 'unitPrice', item.unit_price::text
    ) ORDER BY item.product_id, item.warehouse_id), '[]')
  FROM reservation_items AS item JOIN products AS product ON product.id = item.product_id
  WHERE item.reservation_id = reservation.id)`;

const SELECT = `
  SELECT ${columnsOf(Reservation).text}, ${IS_OVERDUE} AS "isOverdue", ${ITEMS} AS items FROM reservations AS reservation`;

interface Row extends ReservationView {
  isOverdue: boolean;
}

/** Reservations as stored, by their ids or their orders' ids. The statement is sent at once. */
export function findHeld(
  manager: EntityManager,
  ids: readonly string[],
  orderIds: readonly string[],
): Promise<ReservationView[]> {
  const text = `${SELECT} WHERE reservation.id = ANY($1) OR reservation.order_id = ANY($2)`;
  return manager.query<ReservationView[]>(prepared(text), [ids, orderIds]);
}

export async function findReservation(manager: EntityManager, id: string): Promise<ReservationView | undefined> {
  const [row] = await manager.query<Row[]>(prepared(`${SELECT} WHERE reservation.id = $1`), [id]);
  return row && asRead(row);
}

/** At most `count` reservations after a position, newest first. */
export async function findReservations(
  manager: EntityManager,
  filters: ReservationFilters,
  count: number,
  after: Position | undefined,
): Promise<ReservationView[]> {
  return (await queryRows<Row>(manager, reservationsQuery(filters, count, after))).map(asRead);
}

/** The statement of `findReservations`. */
export function reservationsQuery(filters: ReservationFilters, count: number, after: Position | undefined): Sql {
  const ids = reservationIdsQuery(filters, count, after);
  return sql`${raw(SELECT)} WHERE reservation.id = ANY (ARRAY(${ids})) ORDER BY reservation.id DESC`;
}

/** About all matching reservations, unsorted, for an estimate. */
export function selectReservations({ userId, status, productId }: ReservationFilters): Sql {
  const is = (column: string, value: unknown): Sql[] => (value === undefined ? [] : [sql`${raw(column)} = ${value}`]);
  const conditions = [...is('reservations.user_id', userId), ...is('status', status), ...is('product_id', productId)];
  const items = productId === undefined ? empty : sql`JOIN reservation_items ON reservation_id = id`;
  return sql`SELECT FROM reservations ${items} ${where(conditions)}`;
}

/** An overdue hold reads as expired at once, exactly as the sweep will write it. */
function asRead({ isOverdue, ...view }: Row): ReservationView {
  return isOverdue ? { ...view, status: 'expired', updatedAt: view.expiresAt } : view;
}
