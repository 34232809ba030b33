import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';
import { MomentNow } from '../../platform/database/columns';

@Entity('products')
@Unique('products_sku_unique', ['sku'])
@Index('products_by_time', ['createdAt', 'id'])
@Index('products_active_by_time', ['createdAt', 'id'], { where: 'is_active' })
// A GIN trigram index, which TypeORM cannot express.
@Index('products_by_text', { synchronize: false })
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
