import { Injectable } from '@nestjs/common';
import { AuditService } from '../../audit/audit.service';
import type { Cause } from '../../platform/context/request-context';
import { databaseNow } from '../../platform/database/clock';
import type { LockOptions } from '../../platform/database/rows.locks';
import { together } from '../../platform/database/together';
import { afterCommit, commitWith } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { type DomainError, Overloaded, StockLevelFull } from '../../platform/errors/domain-errors';
import { Metrics } from '../../platform/metrics/metrics';
import { type Posting, StockLedger } from '../stock/stock-ledger';
import { LEVEL_CAPACITY, type StockLevel } from '../stock/stock.entity';
import { keyOf, lockLevels } from '../stock/stock.locks';
import type { HeldReservation } from './hold-job';
import type { ReservationStatus } from './reservation.entity';
import { inactivityOf, lockReservations } from './reservation.locks';
import { findItems, withItems } from './reservations.query';

type Ending = Exclude<ReservationStatus, 'active'>;

/** What happens to one piece: how it is called in the ledger, and whether it is available or reserved after that. */
type Effect = Pick<Posting, 'kind' | 'available' | 'reserved'>;

const EFFECTS = {
  committed: { kind: 'commit', available: 0, reserved: -1 },
  cancelled: { kind: 'release', available: 1, reserved: -1 },
  expired: { kind: 'expire', available: 1, reserved: -1 },
} as const satisfies Record<Ending, Effect>;
const RESTOCKED: Effect = { kind: 'restock', available: 1, reserved: 0 };

const END = `
  UPDATE reservations SET status = ended.status, order_id = ended.order_id, updated_at = ended.at
  FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) AS ended (id, status, order_id, at) WHERE reservations.id = ended.id`;

/** What is to become of what a reservation holds or, once it is committed, has sold. */
export interface Wish<Of = HeldReservation> {
  readonly of: Of;
  /**
   * `commit`: it is sold. `cancel`, `expire`: it is given back. `restock`: what was sold goes back into the warehouses that
   * it came from.
   */
  readonly to: 'commit' | 'cancel' | 'expire' | 'restock';
  /** Who wants it in which request, if those are not the context's. */
  readonly cause?: Cause;
}

/** A wish that can be fulfilled, and how the reservation ends by that; undefined if it has ended before. */
export interface Granted extends Wish {
  readonly ending: Ending | undefined;
  /** When: now, or, if its time was over, at the end of that. So it reads after the sweep as it did before. */
  readonly at: Date;
}

/** Why some wishes cannot be fulfilled, by the ids of the reservations. */
export type Refusals = ReadonlyMap<string, DomainError>;

/** Which wishes can be fulfilled at this time, and the levels that are locked for it. */
export interface Judgement {
  readonly granted: readonly Granted[];
  readonly refused: Refusals;
  readonly levels: readonly StockLevel[];
  readonly now: Date;
}

/**
 * How holds end, many at a time, and what that does to the stock, inside a transaction that the caller opened: first they are
 * judged, then all that follows is sent at once, to be committed with. In between nothing should be waited for, because
 * others wait for the levels.
 */
@Injectable()
export class ReservationEndings {
  constructor(
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Judges each wish about a reservation that is locked, as its order is: it may be refused as ReservationNotActive, as
   * StockLevelFull, or as Overloaded if a level was skipped. Locks the levels of all, and looks at the clock only then.
   */
  async judgeAllTx(tx: Tx, wishes: readonly Wish[], options: LockOptions): Promise<Judgement> {
    const items = wishes.flatMap((wish) => wish.of.items);
    const locked = items.length > 0 ? await lockLevels(tx, items, options) : { levels: [], now: undefined };
    const now = locked.now ?? (await databaseNow(tx));
    const keys = new Set(locked.levels.map(keyOf));
    const takeRoom = roomIn(locked.levels);
    const granted: Granted[] = [];
    const refused = new Map<string, DomainError>();
    for (const wish of wishes) {
      const isSkipped = !wish.of.items.every((item) => keys.has(keyOf(item)));
      const error = isSkipped ? new Overloaded() : (refusalOf(wish, now) ?? takeRoom(wish));
      if (error) {
        refused.set(wish.of.id, error);
      } else {
        granted.push({ ...wish, ending: endingOf(wish), at: wish.to === 'expire' ? wish.of.expiresAt : now });
      }
    }
    return { granted, refused, levels: locked.levels, now };
  }

  /** As `judgeAllTx`, for reservations of which only the orders are locked. Locks them; Overloaded if one was skipped. */
  async lockAndJudgeAllTx(tx: Tx, wishes: readonly Wish<string>[], options: LockOptions): Promise<Judgement> {
    const ids = wishes.map((wish) => wish.of);
    if (ids.length === 0) {
      return this.judgeAllTx(tx, [], options);
    }
    const [locked, items] = await together([lockReservations(tx, ids, options), findItems(tx, ids)]);
    const held = new Map(withItems(locked, items).map((one) => [one.id, one]));
    const judgement = await this.judgeAllTx(
      tx,
      wishes.flatMap((wish) => (held.has(wish.of) ? { ...wish, of: held.get(wish.of)! } : [])),
      options,
    );
    const skipped = ids.filter((id) => !held.has(id)).map((id) => [id, new Overloaded()] as const);
    return { ...judgement, refused: new Map([...judgement.refused, ...skipped]) };
  }

  /** Sends all that fulfils the granted wishes, and gives the reservations as they are then. */
  fulfil(tx: Tx, { granted, levels }: Judgement): HeldReservation[] {
    const ended = granted.flatMap(({ ending, ...wish }) => (ending ? { ...wish, ending } : []));
    const entries = ended.map(({ of: { id, expiresAt, orderId }, ending, cause }) => ({
      action: `reservation.${ending}` as const,
      objectId: id,
      oldValue: { status: 'active', expires_at: expiresAt.toISOString(), order_id: orderId },
      newValue: { status: ending, order_id: orderId },
      cause,
    }));
    if (granted.length > 0) {
      commitWith(tx, [
        this.ledger.postTx(tx, levels, granted.flatMap(postingsOf)),
        ...(ended.length > 0 ? [writeEndings(tx, ended)] : []),
        this.audit.recordTx(tx, ...entries),
      ]);
      afterCommit(tx, () => ended.forEach(({ ending }) => this.metrics.reservations.inc({ outcome: ending })));
    }
    return granted.map(({ of, ending, at }) => (ending ? { ...of, status: ending, updatedAt: at } : of));
  }
}

function writeEndings(tx: Tx, ended: readonly Granted[]): Promise<unknown> {
  const [ids, statuses] = [ended.map((one) => one.of.id), ended.map((one) => one.ending)];
  return tx.query(END, [ids, statuses, ended.map((one) => one.of.orderId), ended.map((one) => one.at)]);
}

function refusalOf({ of: reservation, to }: Wish, now: Date): DomainError | undefined {
  switch (to) {
    case 'commit':
    case 'cancel':
      return inactivityOf(reservation, now);
    case 'expire':
    case 'restock':
  }
}

/** Takes the room that a wish needs in these levels; those that are judged after it have less. The error if there is too little. */
function roomIn(levels: readonly StockLevel[]): (wish: Wish) => StockLevelFull | undefined {
  const rooms = new Map(levels.map((level) => [keyOf(level), LEVEL_CAPACITY - level.total]));
  return ({ of: { items }, to }) => {
    if (to !== 'restock') {
      return undefined;
    }
    const full = items.filter((item) => item.quantity > rooms.get(keyOf(item))!);
    if (full.length > 0) {
      return new StockLevelFull(
        full.map((item) => ({
          ...{ product_id: item.productId, warehouse_id: item.warehouseId },
          ...{ quantity: item.quantity, room: rooms.get(keyOf(item))! },
        })),
      );
    }
    items.forEach((item) => rooms.set(keyOf(item), rooms.get(keyOf(item))! - item.quantity));
    return undefined;
  };
}

function endingOf({ to }: Wish): Ending | undefined {
  switch (to) {
    case 'commit':
      return 'committed';
    case 'cancel':
      return 'cancelled';
    case 'expire':
      return 'expired';
    case 'restock':
  }
}

/** One for each item: the effect on one piece, times its quantity. */
function postingsOf({ of: { id, orderId, items }, ending, cause }: Granted): Posting[] {
  const { kind, available, reserved } = ending ? EFFECTS[ending] : RESTOCKED;
  return items.map(({ productId, warehouseId, quantity }) => ({
    ...{ kind, productId, warehouseId, reservationId: id, orderId: orderId ?? undefined, cause },
    available: available * quantity,
    reserved: reserved * quantity,
  }));
}
