import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AuthController } from './auth.controller';
import { AuthService } from './auth.service';
import { UntakenInputGuard } from '../platform/http/untaken-input.guard';
import { RolesGuard, TokenGuard } from './guards';

@Module({
  controllers: [AuthController],
  providers: [
    AuthService,
    { provide: APP_GUARD, useClass: TokenGuard },
    { provide: APP_GUARD, useClass: RolesGuard },
    // Guards run in this order: a caller without access does not learn what is wrong with the request.
    { provide: APP_GUARD, useClass: UntakenInputGuard },
  ],
  exports: [AuthService],
})
export class AuthModule {}
