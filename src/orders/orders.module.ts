import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module';
import { InventoryModule } from '../inventory/inventory.module';
import { AttachedOrders } from './attached-orders';
import { NewOrders } from './new-orders';
import { OrderLifecycle } from './order-lifecycle';
import { OrderStatusService } from './order-status.service';
import { OrdersController } from './orders.controller';
import { OrdersReader } from './orders.reader';
import { OrdersService } from './orders.service';
import { ReservationCommits } from './reservation-commits';

@Module({
  imports: [AuditModule, InventoryModule],
  controllers: [OrdersController],
  providers: [
    NewOrders,
    OrderLifecycle,
    ReservationCommits,
    AttachedOrders,
    OrderStatusService,
    OrdersReader,
    OrdersService,
  ],
})
export class OrdersModule {}
