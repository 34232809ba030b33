import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { AuditEntry } from '../../audit/audit-action';
import { AuditService } from '../../audit/audit.service';
import type { Cause } from '../../platform/context/request-context';
import { insertRows, rowsOf } from '../../platform/database/insert-rows';
import { together } from '../../platform/database/together';
import { commitWith, StaleRead, TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import { InsufficientStock } from '../../platform/errors/domain-errors';
import type { BatchMode } from '../../platform/group-commit/group-commit';
import { groupBy } from '../../platform/group-by';
import type { Answer } from '../../platform/http/answer';
import { IdempotencyKeys, type KeyedRequest } from '../../platform/idempotency/idempotency-keys';
import { orInProgress } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Metrics } from '../../platform/metrics/metrics';
import { type Posting, StockLedger } from '../stock/stock-ledger';
import { type LevelKey, type LockedLevels, lockLevelsOf } from '../stock/stock.locks';
import { type Decision, decide, judgeAtSight, replayed } from './hold-decision';
import type { HeldReservation, HoldJob, HoldVerdict, MadeHold } from './hold-job';
import { lookAt, type Sight } from './sight';
import { ShortByOverdue, shortfallTx } from './overdue';
import { Reservation, ReservationItem } from './reservation.entity';
import { toReservationResponse } from './reservations.dto';
import { type HoldDraft, Shelf } from './shelf';

export interface HoldMode extends BatchMode {
  /** Whether a job that lacks what overdue holds may have ends the batch, so that they are expired first. */
  readonly countsOverdue: boolean;
}

/**
 * Decides requests to hold stock, many at a time. First it looks, without a lock: who repeats what was answered, asks
 * for more than there is, or for what does not exist, is told so, and nothing is written. For the others it locks the
 * levels and decides anew, one after the other in the order of their arrival, in one transaction.
 */
@Injectable()
export class HoldBatches {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly keys: IdempotencyKeys,
    private readonly ledger: StockLedger,
    private readonly audit: AuditService,
    private readonly metrics: Metrics,
  ) {}

  /** What makes a request's key its own; undefined if it has none. */
  keyed(request: IdempotentRequest): KeyedRequest | undefined {
    return this.keys.keyed(request);
  }

  /** @throws ShortByOverdue if `mode` lets overdue holds count and a job needs them; then nothing was changed */
  async attempt(jobs: readonly HoldJob[], mode: HoldMode): Promise<HoldVerdict[]> {
    const sight = await this.transactions.read((manager) => this.look(manager, jobs));
    const verdicts = judgeAtSight(jobs, sight, mode.countsOverdue);
    const open = jobs.filter((job) => !verdicts.has(job));
    if (open.length > 0) {
      const decided = await this.transactions.run((tx) => this.holdTx(tx, open, sight, mode));
      decided.forEach((verdict, job) => verdicts.set(job, verdict));
    }
    this.countOutcomes([...verdicts.values()]);
    return jobs.map((job) => verdicts.get(job)!);
  }

  private async look(manager: EntityManager, jobs: readonly HoldJob[]): Promise<Sight> {
    const [seen, answered] = await together([
      lookAt(manager, productsOf(jobs)),
      // After the levels: if a key is not there yet, its first request had taken no stock when they were read.
      this.keys.recall(manager, keyedOf(jobs)),
    ]);
    return { ...seen, answered };
  }

  private async holdTx(
    tx: Tx,
    jobs: readonly HoldJob[],
    sight: Sight,
    mode: HoldMode,
  ): Promise<Map<HoldJob, HoldVerdict>> {
    const { claimed, ...locked } = await this.lockTx(tx, jobs, mode);
    const isClaimed = ({ keyed }: HoldJob): boolean => keyed === undefined || claimed.has(keyed.identity);
    const verdicts = await this.recallTx(
      tx,
      jobs.filter((job) => !isClaimed(job)),
    );
    const shelf = new Shelf(sight.assortment, locked.levels);
    const decision = decide(jobs.filter(isClaimed), shelf, lockedProducts(sight.levels, locked.levels));
    if (mode.countsOverdue) {
      await assertNoneOverdueTx(tx, decision.errors);
    }
    const answers = this.write(tx, decision, locked);
    answers.forEach((result, job) => verdicts.set(job, { result }));
    decision.errors.forEach((error, job) => verdicts.set(job, { error }));
    decision.repeats.forEach((first, job) => {
      const { data: body, extras } = answers.get(first)!;
      const { fingerprint } = first.keyed!;
      verdicts.set(job, replayed(job.keyed!, { fingerprint, body, location: extras.location ?? null }));
    });
    return verdicts;
  }

  /** Keys, then levels, then the clock: one round trip. @throws IdempotencyInProgress to a lone job */
  private async lockTx(
    tx: Tx,
    jobs: readonly HoldJob[],
    { isPatient }: HoldMode,
  ): Promise<LockedLevels & { claimed: Set<string> }> {
    const startedAt = performance.now();
    const claim = this.keys.claimTx(tx, keyedOf(jobs));
    const [claimed, { levels, now }] = await together([
      jobs.length === 1 ? claim.catch(orInProgress) : claim,
      lockLevelsOf(tx, productsOf(jobs), { skipLocked: !isPatient }),
    ]);
    this.metrics.lockWait.observe((performance.now() - startedAt) / 1000);
    return { claimed, levels, now };
  }

  /** What those were answered whose key another transaction has committed since we looked. */
  private async recallTx(tx: Tx, jobs: readonly HoldJob[]): Promise<Map<HoldJob, HoldVerdict>> {
    const answered = await this.keys.recall(tx, keyedOf(jobs));
    const verdicts = new Map<HoldJob, HoldVerdict>();
    for (const job of jobs) {
      const first = answered.get(job.keyed!.identity);
      if (!first) {
        throw new StaleRead();
      }
      verdicts.set(job, replayed(job.keyed!, first));
    }
    return verdicts;
  }

  /** Writes everything that the drafts become, together with COMMIT, and says what each is answered. */
  private write(tx: Tx, { drafts, errors }: Decision, { levels, now }: LockedLevels): Map<HoldJob, Answer<object>> {
    const made = [...drafts].map(([job, draft]) => ({
      job,
      cause: job.cause,
      // There is a draft, so there are levels, and the time when they were locked.
      reservation: toReservation(job, draft, now!),
    }));
    const reservations = made.map(({ reservation }) => reservation);
    const { answers, written } = writeSequels(tx, made);
    const kept = [...answers].flatMap(([{ keyed }, answer]) => (keyed ? [[keyed, answer] as const] : []));
    commitWith(tx, [
      insertRows(tx, rowsOf(Reservation, reservations), rowsOf(ReservationItem, reservations.flatMap(itemsOf))),
      this.ledger.postTx(tx, levels, made.flatMap(postingsOf)),
      this.audit.recordTx(tx, ...made.map(entryOf)),
      ...written,
      this.keys.storeTx(tx, kept),
      this.keys.releaseTx(tx, unusedKeys(errors, drafts)),
    ]);
    return answers;
  }

  private countOutcomes(verdicts: Iterable<HoldVerdict>): void {
    for (const verdict of verdicts) {
      if ('error' in verdict) {
        this.metrics.reservations.inc({ outcome: 'short' }, Number(verdict.error instanceof InsufficientStock));
      } else {
        this.metrics.reservations.inc({ outcome: 'created' }, Number(!verdict.result.extras.isReplay));
      }
    }
  }
}

function writeSequels(
  tx: Tx,
  made: readonly Made[],
): { answers: Map<HoldJob, Answer<object>>; written: Promise<unknown>[] } {
  const answers = new Map<HoldJob, Answer<object>>();
  const written = [...groupBy(made, ({ job }) => job.sequel)].flatMap(([sequel, holds]) => {
    const own = sequel.write(tx, holds);
    holds.forEach(({ job }, index) => answers.set(job, own.answers[index]!));
    return own.written ?? [];
  });
  return { answers, written };
}

interface Made extends MadeHold {
  readonly job: HoldJob;
  readonly cause: Cause;
}

/** @throws ShortByOverdue if overdue holds may have what somebody lacks, so that nobody gets it before they are expired */
async function assertNoneOverdueTx(tx: Tx, errors: Decision['errors']): Promise<void> {
  for (const [{ cause }, error] of errors) {
    if (error instanceof InsufficientStock) {
      const shortfall = await shortfallTx(tx, error.members.shortages, cause.requestId);
      if (shortfall instanceof ShortByOverdue) {
        throw shortfall;
      }
    }
  }
}

/** Tells the products of which every level that was seen could be locked. */
function lockedProducts(seen: readonly LevelKey[], locked: readonly LevelKey[]): (productId: string) => boolean {
  const keys = new Set(locked.map(keyOf));
  const others = new Set(seen.filter((level) => !keys.has(keyOf(level))).map(({ productId }) => productId));
  return (productId) => !others.has(productId);
}

function toReservation(
  { id, userId, orderId, ttlSeconds }: HoldJob,
  { items, currency, totalAmount }: HoldDraft,
  now: Date,
): HeldReservation {
  const expiresAt = new Date(now.getTime() + ttlSeconds * 1000);
  return {
    ...{ id, userId, orderId, status: 'active', totalAmount, currency, items },
    ...{ expiresAt, createdAt: now, updatedAt: now },
  };
}

function itemsOf({ id, items }: HeldReservation): ReservationItem[] {
  return items.map((item) => ({ ...item, reservationId: id }));
}

function postingsOf({ reservation: { id, orderId, items }, cause }: Made): Posting[] {
  return items.map(({ productId, warehouseId, quantity }) => ({
    ...{ productId, warehouseId, kind: 'reserve', available: -quantity, reserved: quantity },
    ...{ reservationId: id, orderId: orderId ?? undefined, cause },
  }));
}

function entryOf({ reservation, cause }: Made): AuditEntry {
  const newValue = toReservationResponse(reservation);
  return { action: 'reservation.created', objectId: reservation.id, newValue, cause };
}

function productsOf(jobs: readonly HoldJob[]): string[] {
  return [...new Set(jobs.flatMap((job) => job.lanes))];
}

/** The keys of those who were refused, but for a key that another job of the batch has used after all. */
function unusedKeys(errors: Decision['errors'], drafts: Decision['drafts']): KeyedRequest[] {
  const used = new Set([...drafts.keys()].map(({ keyed }) => keyed?.identity));
  return keyedOf([...errors.keys()]).filter(({ identity }) => !used.has(identity));
}

/** Each key once, though several jobs may have it. */
function keyedOf(jobs: readonly HoldJob[]): KeyedRequest[] {
  return [...new Map(jobs.flatMap(({ keyed }) => (keyed ? [[keyed.identity, keyed]] : []))).values()];
}

function keyOf({ productId, warehouseId }: LevelKey): string {
  return `${productId} ${warehouseId}`;
}
