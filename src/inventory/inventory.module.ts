import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module';
import { ProductsController } from './products/products.controller';
import { ProductsService } from './products/products.service';
import { HoldBatches } from './reservations/hold-batches';
import { HoldLanes } from './reservations/hold-lanes';
import { HoldWriter } from './reservations/hold-writer';
import { ReservationCancels } from './reservations/reservation-cancels';
import { ReservationEndings } from './reservations/reservation-endings';
import { ReservationExpiry } from './reservations/reservation-expiry';
import { ReservationExpiryHook } from './reservations/reservation-expiry-listener';
import { ReservationHolds } from './reservations/reservation-holds';
import { ReservationLanes } from './reservations/reservation-lanes';
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
  imports: [AuditModule],
  controllers: [ProductsController, StockController, WarehousesController, ReservationsController],
  providers: [
    ProductsService,
    StockLedger,
    StockService,
    WarehousesService,
    ReservationExpiryHook,
    ReservationHolds,
    ReservationEndings,
    ReservationLanes,
    ReservationCancels,
    ReservationExpiry,
    SweepSchedule,
    HoldWriter,
    HoldBatches,
    HoldLanes,
    ReservationsReader,
    ReservationsService,
  ],
  exports: [ReservationExpiryHook, ReservationHolds, ReservationEndings, HoldLanes, ReservationLanes],
})
export class InventoryModule {}
