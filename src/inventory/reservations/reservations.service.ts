import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { AppConfig } from '../../platform/config/app-config';
import { Answer } from '../../platform/http/answer';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import type { UserActor } from '../../platform/security/actor';
import { StockCommands } from '../commands/stock-commands';
import { cancelReservation } from './cancel-reservation';
import { extendReservation } from './extend-reservation';
import type { ReservationView } from './reservation.entity';
import { assertTtl } from './reservation.changes';
import { reserve } from './reserve';
import {
  type CreateReservationBody,
  type ExtendReservationBody,
  linesOf,
  type ReservationResponse,
  toReservationResponse,
} from './reservations.dto';

@Injectable()
export class ReservationsService {
  constructor(
    private readonly commands: StockCommands,
    private readonly config: AppConfig,
  ) {}

  /** @throws NotFound, ValidationFailed, InsufficientStock with every short line and what is really there */
  async create(
    body: CreateReservationBody,
    caller: UserActor,
    from: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    const { ttl_seconds: ttlSeconds = this.config.reservationTtlSeconds } = body;
    assertTtl(ttlSeconds, this.config.reservationMaxTtlSeconds);
    const request = { id: uuidv7(), userId: caller.id, lines: linesOf(body), ttlSeconds, orderId: null };
    return this.commands.submit(reserve, { ...request, conclude: answerCreated }, from);
  }

  /** @throws NotFound, ReservationNotActive */
  cancel(reservationId: string, caller: UserActor, from: IdempotentRequest): Promise<Answer<ReservationResponse>> {
    return this.commands.submit(cancelReservation, { reservationId, caller }, from);
  }

  /** @throws NotFound, ReservationNotActive, ValidationFailed */
  async extend(
    reservationId: string,
    { ttl_seconds: ttlSeconds }: ExtendReservationBody,
    caller: UserActor,
    from: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    const { reservationMaxTtlSeconds: maxTtlSeconds } = this.config;
    return this.commands.submit(extendReservation, { reservationId, caller, ttlSeconds, maxTtlSeconds }, from);
  }
}

/** The decision for a plain reservation: no further changes. */
function answerCreated(reservation: ReservationView): { changes: []; answer: Answer<ReservationResponse> } {
  const location = `/api/reservations/${reservation.id}`;
  return { changes: [], answer: new Answer(toReservationResponse(reservation), { location }) };
}
