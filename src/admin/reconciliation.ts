import { Injectable } from '@nestjs/common';
import { LongReads } from '../platform/database/long-reads';
import type { DifferenceResponse, ReconciliationResponse } from './admin.dto';

/**
 * One statement reads one snapshot: a transaction that commits meanwhile is in all of its parts or in none. Reading the
 * ledger in parts, by product or by page, would evict the writers' pages from the buffer cache; a full scan does not.
 */
const COMPARE = `
  WITH ledger AS (
    SELECT product_id, warehouse_id, sum(available_delta) AS available, sum(reserved_delta) AS reserved
    FROM stock_movements GROUP BY product_id, warehouse_id
  ), held AS (
    SELECT item.product_id, item.warehouse_id, sum(item.quantity) AS quantity
    FROM reservations AS reservation JOIN reservation_items AS item ON item.reservation_id = reservation.id
    WHERE reservation.status = 'active' GROUP BY item.product_id, item.warehouse_id
  ), compared AS (
    SELECT product_id, warehouse_id,
      coalesce(level.available, 0) AS available, coalesce(level.reserved, 0) AS reserved,
      coalesce(ledger.available, 0) AS ledger_available, coalesce(ledger.reserved, 0) AS ledger_reserved,
      coalesce(held.quantity, 0) AS held
    FROM stock_levels AS level
    FULL JOIN ledger USING (product_id, warehouse_id)
    FULL JOIN held USING (product_id, warehouse_id)
  )
  SELECT (SELECT count(*) FROM compared)::float8 AS checked, (
    SELECT coalesce(json_agg(difference), '[]') FROM (
      SELECT product_id, warehouse_id, what, expected, actual
      FROM compared CROSS JOIN LATERAL (VALUES
        ('available_stock', ledger_available, available),
        ('reserved_stock', ledger_reserved, reserved),
        ('active_reservations', held, reserved)) AS pair (what, expected, actual)
      WHERE expected <> actual ORDER BY product_id, warehouse_id, what) AS difference) AS differences`;

interface Compared {
  checked: number;
  differences: DifferenceResponse[];
}

@Injectable()
export class Reconciliation {
  constructor(private readonly longReads: LongReads) {}

  /**
   * Compares every level with the sum of its ledger, and its reserved pieces with the active reservations. Cancelled
   * when `signal` is aborted.
   */
  async check(signal: AbortSignal): Promise<ReconciliationResponse> {
    const [row] = await this.longReads.run<Compared>({ name: 'reconciliation', sql: COMPARE, signal });
    const { checked, differences } = row!;
    return { ok: differences.length === 0, checked, differences };
  }
}
