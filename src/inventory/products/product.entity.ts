import { Check, Column, Entity, ForeignKey, Index, PrimaryColumn, Unique } from 'typeorm';
import { Moment, MomentNow } from '../../platform/database/columns';

@Entity('products')
@Unique('products_sku_unique', ['sku'])
@Index('products_by_time', ['createdAt', 'id'])
@Index('products_active_by_time', ['createdAt', 'id'], { where: 'is_active' })
// GIN indexes of the trigrams and of the pieces of its texts, which TypeORM cannot spell.
@Index('products_by_text', { synchronize: false })
@Index('products_by_pieces', { synchronize: false })
@Check('products_price_not_negative', 'price >= 0')
@Check('products_threshold_not_negative', 'low_stock_threshold >= 0')
export class Product {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  sku!: string;

  @Column('text')
  name!: string;

  @Column('text', { nullable: true })
  description!: string | null;

  @Column('numeric', { precision: 14, scale: 2 })
  price!: string;

  /** ISO 4217. */
  @Column('character', { length: 3 })
  currency!: string;

  @Column('boolean', { default: true })
  isActive!: boolean;

  /** At or below this many available the product counts as low on stock. */
  @Column('integer', { default: 0 })
  lowStockThreshold!: number;

  @Column('integer', { default: 1 })
  version!: number;

  @MomentNow()
  createdAt!: Date;

  @MomentNow()
  updatedAt!: Date;
}

/**
 * What the list of products asks for and `stock_levels` cannot have in an index. Triggers write it, nobody else: when a
 * product is made or (de)activated, and when one of its levels becomes empty or no longer is.
 */
@Entity('product_availability')
@Index('product_availability_by_time', ['isInStock', 'isActive', 'createdAt', 'productId'])
@Check('product_availability_not_negative', 'stocked_levels >= 0')
@Check('product_availability_in_stock', 'is_in_stock = (stocked_levels > 0)')
export class ProductAvailability {
  @PrimaryColumn('uuid')
  @ForeignKey(() => Product, { name: 'product_availability_product', onDelete: 'CASCADE' })
  productId!: string;

  @Moment()
  createdAt!: Date;

  @Column('boolean')
  isActive!: boolean;

  /** In so many warehouses some are available, leaving out what holds have that are over. */
  @Column('integer', { default: 0 })
  stockedLevels!: number;

  /** Whether there are any: a column, so that only its changes are written to the index. */
  @Column('boolean', { default: false })
  isInStock!: boolean;
}
