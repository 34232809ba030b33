import { Module } from '@nestjs/common';
import { InventoryModule } from '../inventory/inventory.module';
import { Orders } from './loaded-orders';
import { OrderWriter } from './order.writer';
import { OrdersController } from './orders.controller';
import { OrdersReader } from './orders.reader';
import { OrdersService } from './orders.service';

@Module({
  imports: [InventoryModule],
  controllers: [OrdersController],
  providers: [OrderWriter, Orders, OrdersReader, OrdersService],
})
export class OrdersModule {}
