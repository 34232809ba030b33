import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';
import { isOneOf, Moment, MomentNow } from '../../platform/database/columns';

export const RESERVATION_STATUSES = ['active', 'committed', 'cancelled', 'expired'] as const;
export type ReservationStatus = (typeof RESERVATION_STATUSES)[number];

@Entity('reservations')
@Unique('reservations_order_unique', ['orderId'])
@Index('reservations_by_status', ['status', 'id'])
@Index('reservations_by_user', ['userId', 'status', 'id'])
@Index('reservations_due', ['expiresAt'], { where: `status = 'active'` })
@Check('reservations_status_known', isOneOf('status', RESERVATION_STATUSES))
export class Reservation {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('uuid')
  userId!: string;

  @Column('text')
  status!: ReservationStatus;

  /** The hold is valid while the database's clock is before this. */
  @Moment()
  expiresAt!: Date;

  @Column('uuid', { nullable: true })
  orderId!: string | null;

  @Column('numeric', { precision: 24, scale: 2 })
  totalAmount!: string;

  @Column('character', { length: 3 })
  currency!: string;

  @MomentNow()
  createdAt!: Date;

  @MomentNow()
  updatedAt!: Date;
}

/** The pieces of one product that one warehouse holds for a reservation, at the price when it was made. */
@Entity('reservation_items')
@Index('reservation_items_by_product', ['productId', 'reservationId'])
@Index('reservation_items_by_user', ['userId', 'productId', 'reservationId'])
@Check('reservation_items_quantity_positive', 'quantity > 0')
export class ReservationItem {
  @PrimaryColumn('uuid')
  reservationId!: string;

  /** The user of the reservation, which never changes: copied here for the index by user and product. */
  @Column('uuid')
  userId!: string;

  @PrimaryColumn('uuid')
  productId!: string;

  @PrimaryColumn('uuid')
  warehouseId!: string;

  @Column('integer')
  quantity!: number;

  @Column('numeric', { precision: 14, scale: 2 })
  unitPrice!: string;
}

/** An item, with what readers are shown of its product. */
export interface HeldItem extends Omit<ReservationItem, 'reservationId' | 'userId'> {
  sku: string;
  name: string;
}

export interface ReservationView extends Reservation {
  items: HeldItem[];
}
