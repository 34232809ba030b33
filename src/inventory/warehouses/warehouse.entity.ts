import { Check, Column, Entity, PrimaryColumn, Unique } from 'typeorm';
import { MomentNow } from '../../platform/database/columns';

/** The warehouse that the first migration creates; the default where no `warehouse_id` is given. */
export const MAIN_WAREHOUSE_ID = '00000000-0000-7000-8000-000000000001';

@Entity('warehouses')
@Unique('warehouses_code_unique', ['code'])
@Check('warehouses_priority_not_negative', 'priority >= 0')
export class Warehouse {
  @PrimaryColumn('uuid')
  id!: string;

  @Column('text')
  code!: string;

  @Column('text')
  name!: string;

  /** The warehouse with the lowest number serves first. */
  @Column('integer', { default: 100 })
  priority!: number;

  @Column('boolean', { default: true })
  isActive!: boolean;

  @MomentNow()
  createdAt!: Date;

  @MomentNow()
  updatedAt!: Date;
}
