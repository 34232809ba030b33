import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { AdminModule } from './admin/admin.module';
import { AuditModule } from './audit/audit.module';
import { AuthModule } from './auth/auth.module';
import { EventsModule } from './events/events.module';
import { InventoryModule } from './inventory/inventory.module';
import { OrdersModule } from './orders/orders.module';
import { type Foundation, PlatformModule } from './platform/platform.module';

export interface AppOptions {
  /** Whether this process runs the background jobs: the sweep and the purge. */
  cronJobs: boolean;
}

@Module({})
export class AppModule {
  static forRoot(foundation: Foundation, { cronJobs }: AppOptions): DynamicModule {
    return {
      module: AppModule,
      imports: [
        PlatformModule.forRoot(foundation),
        ScheduleModule.forRoot({ cronJobs }),
        AuditModule,
        AuthModule,
        InventoryModule,
        OrdersModule,
        AdminModule,
        EventsModule,
      ],
    };
  }
}
