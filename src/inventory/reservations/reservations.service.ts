import { Injectable } from '@nestjs/common';
import { Answer } from '../../platform/http/answer';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import type { UserActor } from '../../platform/security/actor';
import type { HoldSequel } from './hold-job';
import { HoldLanes } from './hold-lanes';
import { ReservationHolds } from './reservation-holds';
import { type Line, toLines } from './reservation-lines';
import {
  type CreateReservationBody,
  type ExtendReservationBody,
  type ReservationResponse,
  toReservationResponse,
} from './reservations.dto';
import { findReservation } from './reservations.query';

/** Nothing else is written for a reservation that was asked for as such. */
const CREATED: HoldSequel = {
  write: (_tx, holds) =>
    holds.map(({ reservation }) => {
      const location = `/api/reservations/${reservation.id}`;
      return new Answer(toReservationResponse(reservation), { location });
    }),
};

@Injectable()
export class ReservationsService {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly holds: ReservationHolds,
    private readonly lanes: HoldLanes,
  ) {}

  /**
   * Holds all lines or none. Locks the levels of the products; overdue holds on those that are short are expired first.
   * @throws NotFound, ValidationFailed, InsufficientStock with every short line and what is really there
   */
  async create(
    body: CreateReservationBody,
    caller: UserActor,
    request: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    return this.lanes.hold({ userId: caller.id, lines: linesOf(body), ttlSeconds: body.ttl_seconds }, request, CREATED);
  }

  /** Moves the end of the hold. Locks the order behind it and the reservation. @throws NotFound, ReservationNotActive, ValidationFailed */
  async extend(
    id: string,
    body: ExtendReservationBody,
    caller: UserActor,
    request: IdempotentRequest,
  ): Promise<Answer<ReservationResponse>> {
    return this.idempotency.run(request, async (tx) => {
      await this.holds.extendTx(tx, await this.holds.lockTx(tx, id, caller), body.ttl_seconds);
      return new Answer(toReservationResponse((await findReservation(tx, id))!));
    });
  }
}

/** The lines of a body, which spells out one of them itself or lists them in `items`. */
function linesOf(body: CreateReservationBody): Line[] {
  if (body.items) {
    return toLines(body.items);
  }
  const { product_id, quantity, warehouse_id } = body;
  return [{ ...toLines([{ product_id: product_id!, quantity: quantity!, warehouse_id }])[0]!, prefix: '' }];
}
