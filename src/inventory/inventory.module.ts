import { Module } from '@nestjs/common';
import { OrderBooks } from './commands/snapshot';
import { StockCommands } from './commands/stock-commands';
import { StockModel } from './commands/stock-model';
import { ProductsController } from './products/products.controller';
import { ProductsService } from './products/products.service';
import { ReservationSweep } from './reservations/reservation-sweep';
import { ReservationWriter } from './reservations/reservation.writer';
import { ReservationsController } from './reservations/reservations.controller';
import { ReservationsReader } from './reservations/reservations.reader';
import { ReservationsService } from './reservations/reservations.service';
import { SweepSchedule } from './reservations/sweep-schedule';
import { StockLedger } from './stock/stock-ledger';
import { StockController } from './stock/stock.controller';
import { StockService } from './stock/stock.service';
import { WarehousesController } from './warehouses/warehouses.controller';
import { WarehousesService } from './warehouses/warehouses.service';

@Module({
  controllers: [ProductsController, StockController, WarehousesController, ReservationsController],
  providers: [
    ProductsService,
    StockLedger,
    StockService,
    WarehousesService,
    OrderBooks,
    ReservationWriter,
    StockModel,
    StockCommands,
    ReservationSweep,
    SweepSchedule,
    ReservationsReader,
    ReservationsService,
  ],
  exports: [OrderBooks, StockCommands],
})
export class InventoryModule {}
