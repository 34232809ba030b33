import { Check, Column, Entity, PrimaryColumn } from 'typeorm';
import { isOneOf } from '../../platform/database/columns';
import type { StockState } from './stock-state';

/** The states that have a row. */
export const ALERT_STATES = ['low', 'out'] as const satisfies readonly StockState[];

/** A product whose stock is low or depleted, as it was told last. Products that have enough have no row. */
@Entity('product_alerts')
@Check('product_alerts_state_known', isOneOf('state', ALERT_STATES))
export class ProductAlert {
  @PrimaryColumn('uuid')
  productId!: string;

  @Column('text')
  state!: StockState;
}
