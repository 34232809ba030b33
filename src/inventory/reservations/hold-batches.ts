import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { together } from '../../platform/database/together';
import { IMPATIENTLY, StaleRead, TransactionRunner } from '../../platform/database/transaction-runner';
import type { Tx } from '../../platform/database/tx';
import type { BatchMode } from '../../platform/group-commit/group-commit';
import {
  asStored,
  IdempotencyKeys,
  type KeyedRequest,
  keysOf,
  replayed,
} from '../../platform/idempotency/idempotency-keys';
import { orInProgress } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Metrics } from '../../platform/metrics/metrics';
import type { StockLevel } from '../stock/stock.entity';
import { keyOf, type LevelKey, type LockedLevels, lockLevelsOf } from '../stock/stock.locks';
import { assertNoneOverdue, type Decision, decide, judgeAtSight, shortageOf } from './hold-decision';
import { type HoldJob, type HoldVerdict, productsOf } from './hold-job';
import { HoldWriter } from './hold-writer';
import { DisplacedByOverdue, findLevels, type Reclaims } from './overdue';
import { type Assortment, Shelf } from './shelf';
import { lookAt, type Sight } from './sight';

export interface HoldMode extends BatchMode {
  readonly reclaims: Reclaims;
}

/** Some jobs for which a transaction is opened. */
interface Round {
  readonly jobs: readonly HoldJob[];
  readonly sight: Sight;
  readonly mode: HoldMode;
  /** What an earlier transaction decided for them, of which it is not known whether it took effect. */
  readonly unsure?: Map<HoldJob, HoldVerdict>;
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
    private readonly writer: HoldWriter,
    private readonly metrics: Metrics,
  ) {}

  /** What makes a request's key its own; undefined if it has none. */
  keyed(request: IdempotentRequest): KeyedRequest | undefined {
    return this.keys.keyed(request);
  }

  /** @throws ShortByOverdue, DisplacedByOverdue if `mode` says so and a job is; then nothing was changed */
  async attempt(jobs: readonly HoldJob[], mode: HoldMode): Promise<HoldVerdict[]> {
    const { sight, verdicts } = await this.transactions.read((manager) => this.look(manager, jobs, mode));
    const open = jobs.filter((job) => !verdicts.has(job));
    if (open.length > 0) {
      const round = { jobs: open, sight, mode };
      const decided = await this.transactions.runAndSettle(
        (tx) => this.holdTx(tx, round),
        (tx, unsure) => this.holdTx(tx, { ...round, mode: { ...mode, isPatient: true }, unsure }),
      );
      decided.forEach((verdict, job) => verdicts.set(job, verdict));
    }
    this.countOutcomes(verdicts.values());
    return jobs.map((job) => verdicts.get(job)!);
  }

  private async look(
    manager: EntityManager,
    jobs: readonly HoldJob[],
    { reclaims }: HoldMode,
  ): Promise<{ sight: Sight; verdicts: Map<HoldJob, HoldVerdict> }> {
    const [seen, answered] = await together([
      lookAt(manager, productsOf(jobs)),
      // After the levels: if a key is not there yet, its first request had taken no stock when they were read.
      this.keys.recall(manager, keysOf(jobs)),
    ]);
    const verdicts = judgeAtSight(jobs, { ...seen, answered });
    const short = jobs.filter((job) => productsShort(verdicts.get(job)).some(reclaims.short));
    if (short.length > 0) {
      const closer = await this.lookCloser(manager, short, seen.assortment);
      short.forEach((job) => verdicts.delete(job));
      closer.forEach((verdict, job) => verdicts.set(job, verdict));
    }
    return { sight: { ...seen, answered }, verdicts };
  }

  /** Judges anew who seems to fall short, now by levels and overdue holds of one moment. @throws ShortByOverdue */
  private async lookCloser(
    manager: EntityManager,
    short: readonly HoldJob[],
    assortment: Assortment,
  ): Promise<Map<HoldJob, HoldVerdict>> {
    const [levels, answered] = await together([
      findLevels(manager, productsOf(short)),
      this.keys.recall(manager, keysOf(short)),
    ]);
    const verdicts = judgeAtSight(short, { assortment, levels, answered });
    assertNoneOverdue(verdicts, levels);
    return verdicts;
  }

  private async holdTx(tx: Tx, { jobs, sight, mode, unsure }: Round): Promise<Map<HoldJob, HoldVerdict>> {
    const { claimed, ...locked } = await this.lockTx(tx, jobs, mode);
    // Whoever had these levels locked has ended: either all the reservations of that transaction are there, or none.
    if (unsure && (await hasReservationsTx(tx, jobs))) {
      return unsure;
    }
    const isClaimed = ({ keyed }: HoldJob): boolean => keyed === undefined || claimed.has(keyed.identity);
    const verdicts = await this.recallTx(
      tx,
      jobs.filter((job) => !isClaimed(job)),
    );
    const fresh = jobs.filter(isClaimed);
    const isLocked = lockedProducts(sight.levels, locked.levels);
    const decideWith = (overdueAtMost: (level: StockLevel) => number): Decision => {
      const levels = locked.levels.map((level) => ({
        ...level,
        overdueAtMost: mode.reclaims.displaced(level.productId) ? overdueAtMost(level) : 0,
      }));
      return decide(fresh, new Shelf(sight.assortment, levels), isLocked);
    };
    const decision = decideWith(({ reserved }) => reserved);
    decision.errors.forEach((error, job) => verdicts.set(job, { error }));
    await assertTrulyShortTx(tx, verdicts, locked.levels, mode);
    if (decision.displaced.size > 0) {
      await assertNotDisplacedTx(tx, [...decision.displaced.values()].flat(), decideWith);
    }
    const answers = this.writer.write(tx, decision, locked);
    answers.forEach((result, job) => verdicts.set(job, { result }));
    decision.repeats.forEach((first, job) => {
      verdicts.set(job, replayed(job.keyed!, asStored(first.keyed!, answers.get(first)!)));
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
    const patience = isPatient ? undefined : tx.query(IMPATIENTLY);
    const claim = this.keys.claimTx(tx, keysOf(jobs));
    const [, claimed, { levels, now }] = await together([
      patience,
      jobs.length === 1 ? claim.catch(orInProgress) : claim,
      lockLevelsOf(tx, productsOf(jobs), { skipLocked: !isPatient }),
    ]);
    this.metrics.lockWait.observe((performance.now() - startedAt) / 1000);
    return { claimed, levels, now };
  }

  /** What those were answered whose key another transaction has committed since we looked. */
  private async recallTx(tx: Tx, jobs: readonly HoldJob[]): Promise<Map<HoldJob, HoldVerdict>> {
    const answered = await this.keys.recall(tx, keysOf(jobs));
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

  private countOutcomes(verdicts: Iterable<HoldVerdict>): void {
    for (const verdict of verdicts) {
      if (shortageOf(verdict)) {
        this.metrics.reservations.inc({ outcome: 'short' });
      } else if ('result' in verdict && !verdict.result.extras.isReplay) {
        this.metrics.reservations.inc({ outcome: 'created' });
      }
    }
  }
}

async function hasReservationsTx(tx: Tx, jobs: readonly HoldJob[]): Promise<boolean> {
  const rows = await tx.query<unknown[]>('SELECT FROM reservations WHERE id = ANY($1) LIMIT 1', [
    jobs.map(({ id }) => id),
  ]);
  return rows.length > 0;
}

/**
 * @throws ShortByOverdue if a job is short of what overdue holds may have; nobody gets it before they are expired;
 *   StaleRead if it is short without a level that was made while this waited for the others, for instance by a transfer
 *   to where the product had never been: a statement locks what is new in a row, but no row that is new
 */
async function assertTrulyShortTx(
  tx: Tx,
  verdicts: ReadonlyMap<HoldJob, HoldVerdict>,
  locked: readonly LevelKey[],
  { reclaims }: HoldMode,
): Promise<void> {
  const short = new Set([...verdicts.values()].flatMap(productsShort));
  if (short.size === 0) {
    return;
  }
  const levels = await findLevels(tx, [...short]);
  const keys = new Set(locked.map(keyOf));
  if (!levels.every((level) => keys.has(keyOf(level)))) {
    throw new StaleRead();
  }
  assertNoneOverdue(
    verdicts,
    levels.filter(({ productId }) => reclaims.short(productId)),
  );
}

/**
 * Decides again about jobs with these products, now that it is looked up how much of what is reserved there is overdue.
 * @throws DisplacedByOverdue if a job would be served from other warehouses once that is expired
 */
async function assertNotDisplacedTx(
  tx: Tx,
  productIds: readonly string[],
  decideWith: (overdueAtMost: (level: LevelKey) => number) => Decision,
): Promise<void> {
  const levels = await findLevels(tx, [...new Set(productIds)]);
  const overdue = new Map(levels.map((level) => [keyOf(level), level.overdueAtMost]));
  const { displaced } = decideWith((level) => overdue.get(keyOf(level)) ?? 0);
  for (const [{ cause }, elsewhere] of displaced) {
    throw new DisplacedByOverdue(elsewhere, cause.requestId);
  }
}

function productsShort(verdict: HoldVerdict | undefined): string[] {
  return shortageOf(verdict)?.members.shortages.map((shortage) => shortage.product_id) ?? [];
}

/** Tells the products of which every level that was seen could be locked. */
function lockedProducts(seen: readonly LevelKey[], locked: readonly LevelKey[]): (productId: string) => boolean {
  const keys = new Set(locked.map(keyOf));
  const others = new Set(seen.filter((level) => !keys.has(keyOf(level))).map(({ productId }) => productId));
  return (productId) => !others.has(productId);
}
