import { Injectable } from '@nestjs/common';
import { estimateRows } from '../../platform/database/estimate';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { Keyset } from '../../platform/http/cursor';
import type { Page } from '../../platform/http/page';
import { isAdmin, type UserActor } from '../../platform/security/actor';
import { assertMayUse } from './reservation.changes';
import { type ReservationResponse, type ReservationsQuery, toReservationResponse } from './reservations.dto';
import { findReservation, findReservations, selectReservations } from './reservations.query';

@Injectable()
export class ReservationsReader {
  constructor(private readonly transactions: TransactionRunner) {}

  /** Lists the caller's own reservations, or all for an admin, newest first. @throws InvalidCursor */
  async list(
    { limit, cursor, count, ...filters }: ReservationsQuery,
    caller: UserActor,
  ): Promise<Page<ReservationResponse>> {
    const { status, product_id: productId } = filters;
    const where = { userId: isAdmin(caller) ? undefined : caller.id, status, productId };
    const keyset = new Keyset('reservations', where, 'id');
    const after = keyset.positionOf(cursor);
    return this.transactions.read(async (manager) => {
      const estimate = count && (await estimateRows(manager, selectReservations(where)));
      const views = await findReservations(manager, where, limit + 1, after);
      const page = keyset.page(views, limit, ({ id }) => ({ value: id, id }), toReservationResponse);
      return page.withEstimate(estimate, cursor);
    });
  }

  /** @throws NotFound, also for someone else's */
  async get(id: string, caller: UserActor): Promise<ReservationResponse> {
    const view = await this.transactions.read((manager) => findReservation(manager, id));
    assertMayUse(view, id, caller);
    return toReservationResponse(view);
  }
}
