import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module';
import { InventoryModule } from '../inventory/inventory.module';
import { NewOrders } from './new-orders';
import { OrderLifecycle } from './order-lifecycle';
import { OrderStatusService } from './order-status.service';
import { OrdersController } from './orders.controller';
import { OrdersReader } from './orders.reader';
import { OrdersService } from './orders.service';

@Module({
  imports: [AuditModule, InventoryModule],
  controllers: [OrdersController],
  providers: [NewOrders, OrderLifecycle, OrderStatusService, OrdersReader, OrdersService],
})
export class OrdersModule {}
