import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';
import { isOneOf, MomentNow, PrimaryMoment } from '../platform/database/columns';
import { ORDER_STATUSES, type OrderStatus } from './order-state';

@Entity('orders')
@Unique('orders_reservation_unique', ['reservationId'])
@Index('orders_by_time', ['status', 'createdAt', 'id', 'totalAmount'])
@Index('orders_by_value', ['status', 'totalAmount', 'id', 'createdAt'])
@Index('orders_by_user_time', ['userId', 'status', 'createdAt', 'id', 'totalAmount'])
@Index('orders_by_user_value', ['userId', 'status', 'totalAmount', 'id', 'createdAt'])
@Check('orders_status_known', isOneOf('status', ORDER_STATUSES))
export class Order {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('uuid')
  userId!: string;

  @Column('text')
  status!: OrderStatus;

  @Column('numeric', { precision: 24, scale: 2 })
  totalAmount!: string;

  @Column('character', { length: 3 })
  currency!: string;

  @Column('uuid')
  reservationId!: string;

  @Column('integer', { default: 1 })
  version!: number;

  @MomentNow()
  createdAt!: Date;

  @MomentNow()
  updatedAt!: Date;
}

/** An order, with what readers are shown of it. */
export interface OrderView extends Order {
  readonly items: readonly Omit<OrderItem, 'orderId'>[];
  /** When its hold ends; null once it is no longer pending. */
  readonly expiresAt: Date | null;
}

/** A line of an order, with sku, name and price as of when it was made. */
@Entity('order_items')
@Check('order_items_quantity_positive', 'quantity > 0')
export class OrderItem {
  @PrimaryColumn('uuid')
  orderId!: string;

  @PrimaryColumn('uuid')
  productId!: string;

  @PrimaryColumn('uuid')
  warehouseId!: string;

  @Column('text')
  sku!: string;

  @Column('text')
  name!: string;

  @Column('integer')
  quantity!: number;

  @Column('numeric', { precision: 14, scale: 2 })
  unitPrice!: string;
}

/** One status change of an order. */
@Entity('order_status_changes')
export class OrderStatusChange {
  @PrimaryColumn('uuid')
  orderId!: string;

  @PrimaryMoment()
  createdAt!: Date;

  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  fromStatus!: OrderStatus;

  @Column('text')
  toStatus!: OrderStatus;

  @Column('text')
  actor!: string;

  @Column('text', { nullable: true })
  reason!: string | null;

  @Column('uuid')
  requestId!: string;
}
