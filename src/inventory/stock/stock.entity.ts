import { Check, Column, Entity, ForeignKey, PrimaryColumn } from 'typeorm';
import { isOneOf, PrimaryMoment } from '../../platform/database/columns';
import { Product } from '../products/product.entity';
import { Warehouse } from '../warehouses/warehouse.entity';

/** The most that a level can hold: the maximum of PostgreSQL's integer. */
export const LEVEL_CAPACITY = 2_147_483_647;

/** The stock of one product in one warehouse. No table references this one, so its row locks do not block inserts. */
@Entity('stock_levels')
@Check('stock_levels_available_not_negative', 'available >= 0')
@Check('stock_levels_reserved_not_negative', 'reserved >= 0')
@Check('stock_levels_total_is_sum', 'available + reserved = total')
export class StockLevel {
  @PrimaryColumn('uuid')
  @ForeignKey(() => Product, { name: 'stock_levels_product' })
  productId!: string;

  @PrimaryColumn('uuid')
  @ForeignKey(() => Warehouse, { name: 'stock_levels_warehouse' })
  warehouseId!: string;

  @Column('integer', { default: 0 })
  available!: number;

  @Column('integer', { default: 0 })
  reserved!: number;

  @Column('integer', { default: 0 })
  total!: number;
}

export const MOVEMENT_KINDS = [
  'initial',
  'adjustment',
  'transfer_out',
  'transfer_in',
  'reserve',
  'release',
  'expire',
  'commit',
  'restock',
] as const;
export type MovementKind = (typeof MOVEMENT_KINDS)[number];

/** The ledger: one row for every change of a level, which is always the sum of its rows. Append-only by trigger. */
@Entity('stock_movements')
@Check('stock_movements_kind_known', isOneOf('kind', MOVEMENT_KINDS))
export class StockMovement {
  @PrimaryColumn('uuid')
  productId!: string;

  @PrimaryMoment()
  createdAt!: Date;

  @PrimaryColumn('uuid')
  id!: string;

  @Column('uuid')
  warehouseId!: string;

  @Column('text')
  kind!: MovementKind;

  @Column('integer')
  availableDelta!: number;

  @Column('integer')
  reservedDelta!: number;

  @Column('integer')
  availableAfter!: number;

  @Column('integer')
  reservedAfter!: number;

  @Column('uuid', { nullable: true })
  reservationId!: string | null;

  @Column('uuid', { nullable: true })
  orderId!: string | null;

  @Column('text')
  actor!: string;

  @Column('text', { nullable: true })
  reason!: string | null;

  @Column('uuid')
  requestId!: string;
}
