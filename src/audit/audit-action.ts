import type { Cause } from '../platform/context/request-context';

/** The values of a stock level in an audit row. */
interface LevelChange {
  warehouse_id: string;
  available_stock: number;
  reserved_stock: number;
}

interface ReservationState {
  status: string;
  expires_at?: string;
  order_id?: string | null;
}

/** The user, the amount and the products: readers of events need no further request. */
export interface Purchase {
  user_id: string;
  total_amount: string;
  currency: string;
  product_ids: string[];
}

interface OrderState extends Purchase {
  status: string;
  version: number;
  reservation_id: string | null;
}

/** What was available of a product, over all warehouses, when it crossed its threshold. */
export interface StockAlert {
  available: number;
  low_stock_threshold: number;
}

/** Why a receiver of events gets none any more: it has answered 410, or nothing has got through for days. */
export interface EndpointTrouble {
  url: string;
  reason: 'gone' | 'failing';
  failing_since: string;
}

/** A partition that was detached from the audit log: its table, and the last month in it. */
export interface ArchivedMonth {
  table: string;
  month: string;
  rows: number;
  dropped: boolean;
}

/**
 * Every audited action, with its values before and after. The part of a name before the dot is the object's type, the
 * rest what happened to it.
 */
export interface AuditActions {
  'user.registered': { oldValue?: undefined; newValue: { email: string; role: string } };
  'product.created': { oldValue?: undefined; newValue: object };
  'product.updated': { oldValue: object; newValue: object };
  'warehouse.created': { oldValue?: undefined; newValue: object };
  'warehouse.updated': { oldValue: object; newValue: object };
  'stock.adjusted': { oldValue: LevelChange; newValue: LevelChange & { delta: number; reason: string } };
  'stock.transferred': {
    oldValue?: undefined;
    newValue: {
      transfer_id: string;
      from_warehouse_id: string;
      to_warehouse_id: string;
      quantity: number;
      reason: string | null;
    };
  };
  'stock.low': { oldValue?: undefined; newValue: StockAlert };
  'stock.depleted': { oldValue?: undefined; newValue: StockAlert };
  'stock.replenished': { oldValue?: undefined; newValue: StockAlert };
  'reservation.created': { oldValue?: undefined; newValue: object };
  'reservation.extended': { oldValue: { expires_at: string }; newValue: { expires_at: string } & Purchase };
  'reservation.committed': { oldValue: ReservationState; newValue: ReservationState & Purchase };
  'reservation.cancelled': { oldValue: ReservationState; newValue: ReservationState & Purchase };
  'reservation.expired': { oldValue: ReservationState; newValue: ReservationState & Purchase };
  'order.created': { oldValue?: undefined; newValue: OrderState };
  'order.status_changed': { oldValue: { status: string }; newValue: OrderState & { reason: string | null } };
  'webhook_endpoint.created': { oldValue?: undefined; newValue: object };
  'webhook_endpoint.updated': { oldValue: object; newValue: object };
  'webhook_endpoint.deleted': { oldValue: object; newValue: null };
  /** By the service itself. */
  'webhook_endpoint.disabled': { oldValue?: undefined; newValue: EndpointTrouble };
  'webhook_endpoint.secret_rotated': { oldValue?: undefined; newValue: { previous_secret_until: string } };
  'webhook.test': { oldValue?: undefined; newValue: { url: string } };
  'audit_log.archived': { oldValue?: undefined; newValue: ArchivedMonth };
}

export type AuditAction = keyof AuditActions;

export const AUDIT_ACTIONS = [
  'user.registered',
  'product.created',
  'product.updated',
  'warehouse.created',
  'warehouse.updated',
  'stock.adjusted',
  'stock.transferred',
  'stock.low',
  'stock.depleted',
  'stock.replenished',
  'reservation.created',
  'reservation.extended',
  'reservation.committed',
  'reservation.cancelled',
  'reservation.expired',
  'order.created',
  'order.status_changed',
  'webhook_endpoint.created',
  'webhook_endpoint.updated',
  'webhook_endpoint.deleted',
  'webhook_endpoint.disabled',
  'webhook_endpoint.secret_rotated',
  'webhook.test',
  'audit_log.archived',
] as const satisfies readonly AuditAction[];

const STOCK_ALERTS: readonly AuditAction[] = ['stock.low', 'stock.depleted', 'stock.replenished'];

/**
 * The part of an action before the dot; but what all levels of a product have together is the product's, and a webhook is
 * tested at an endpoint.
 */
export function objectTypeOf(action: AuditAction): string {
  if (action === 'webhook.test') {
    return 'webhook_endpoint';
  }
  return STOCK_ALERTS.includes(action) ? 'product' : action.slice(0, action.indexOf('.'));
}

/** One audit row to write: the action determines which values it has. */
export type AuditEntry = {
  [Action in AuditAction]: {
    action: Action;
    objectId: string;
    /** Who did it in which request, if that differs from the context. */
    cause?: Cause;
  } & AuditActions[Action];
}[AuditAction];
