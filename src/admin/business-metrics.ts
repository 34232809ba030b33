import { Injectable } from '@nestjs/common';
import { ORDER_STATUSES, REVENUE_STATUSES } from '../orders/order-state';
import { isOneOf } from '../platform/database/columns';
import { LongReads } from '../platform/database/long-reads';
import type { BusinessMetricsResponse } from './admin.dto';

/**
 * One statement, so that all numbers come from one snapshot and the orders are read once. Sums of pieces fit into a
 * double, up to 2^53.
 */
const METRICS = `
  WITH counted AS MATERIALIZED (
    SELECT status, currency, count(*) AS number, sum(total_amount) AS amount
    FROM orders GROUP BY status, currency
  )
  SELECT
    (SELECT coalesce(json_object_agg(status, number), '{}') FROM (
      SELECT status, sum(number) AS number FROM counted GROUP BY status) AS by_status) AS orders_by_status,
    (SELECT coalesce(json_agg(json_build_object('currency', currency, 'amount', amount::text) ORDER BY currency), '[]') FROM (
      SELECT currency, sum(amount) AS amount FROM counted
      WHERE ${isOneOf('status', REVENUE_STATUSES)} GROUP BY currency) AS earned) AS revenue,
    (SELECT json_build_object(
        'active', count(*) FILTER (WHERE expires_at > clock_timestamp()),
        'overdue', count(*) FILTER (WHERE expires_at <= clock_timestamp()))
      FROM reservations WHERE status = 'active') AS reservations,
    (SELECT json_build_object(
        'available', coalesce(sum(available), 0), 'reserved', coalesce(sum(reserved), 0), 'total', coalesce(sum(total), 0))
      FROM stock_levels) AS stock,
    (SELECT coalesce(json_agg(low), '[]') FROM (
      SELECT product.id AS product_id, product.sku, coalesce(sum(level.available), 0) AS available_stock, product.low_stock_threshold
      FROM products AS product LEFT JOIN stock_levels AS level ON level.product_id = product.id
      WHERE product.is_active GROUP BY product.id
      HAVING coalesce(sum(level.available), 0) <= product.low_stock_threshold
      ORDER BY available_stock, product.sku LIMIT 100) AS low) AS low_stock_products`;

@Injectable()
export class BusinessMetrics {
  constructor(private readonly longReads: LongReads) {}

  /**
   * All numbers, from one snapshot. Stock is as stored: overdue holds count as reserved until they are swept. Cancelled
   * when `signal` is aborted.
   */
  async read(signal: AbortSignal): Promise<BusinessMetricsResponse> {
    const [row] = await this.longReads.run<BusinessMetricsResponse>({ name: 'metrics', sql: METRICS, signal });
    const none = Object.fromEntries(ORDER_STATUSES.map((status) => [status, 0]));
    return { ...row!, orders_by_status: { ...none, ...row!.orders_by_status } };
  }
}
