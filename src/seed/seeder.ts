import type { Sql } from 'sql-template-tag';
import { makeMonth, missingMonths } from '../audit/audit-partitions';
import type { BulkSession } from '../platform/database/bulk-session';
import { drawBatch, findBatch } from './batch.query';
import { COMPLETE, drawProducts, WRITE_CATALOGUE } from './catalogue.query';
import { FOUNDED_BEFORE_MS, functionsOf } from './drawing.query';
import { WRITE_BATCH } from './records.query';
import type { Batch, SeedPlan } from './seed-plan';
import { lockSeededLevels } from './seed.locks';
import { writeCustomers, writeStaff } from './users.query';

const SETTINGS = ['TIME ZONE UTC', `work_mem = '128MB'`, `temp_buffers = '64MB'`, 'jit = off'];
/** The shop is founded in the month before that of the first order, or in the one before it. */
const MONTHS_BEFORE = 2;

/** Writes a plan batch by batch, first into temporary tables and from there into the real ones. */
export class Seeder {
  constructor(
    private readonly session: BulkSession,
    private readonly plan: SeedPlan,
    private readonly maxHoldSeconds: number,
  ) {}

  /** Creates the partitions of the audit log for the months of this plan. */
  async makeMonths(): Promise<void> {
    const day = new Date(this.plan.startMs - FOUNDED_BEFORE_MS).toISOString().slice(0, 10);
    for (const month of await missingMonths(this.session, day, this.plan.months + MONTHS_BEFORE)) {
      await this.session.run(() => makeMonth(this.session, month));
    }
  }

  /** Makes the products, and the administrator who ships. Existing ones are kept. */
  async stockTheShop(): Promise<void> {
    await this.session.run(async () => {
      for (const statement of [...SETTINGS.map((setting) => `SET ${setting}`), ...functionsOf(this.plan)]) {
        await this.session.query(statement);
      }
      await this.query(drawProducts(this.plan));
      const isNew = (await this.query(writeStaff(this.plan))).length > 0;
      await this.execute(isNew ? WRITE_CATALOGUE : []);
    });
  }

  /**
   * Writes all orders of a batch and everything that belongs to them, or nothing if they exist already. Afterwards the
   * database reconciles, and later batches do not change these rows. The last batch activates the products.
   */
  async write(batch: Batch): Promise<void> {
    const { plan } = this;
    await this.session.run(async () => {
      await lockSeededLevels(this.session);
      if ((await this.query(findBatch(batch))).length > 0) {
        return;
      }
      await this.execute([...drawBatch(plan, batch, this.maxHoldSeconds), writeCustomers(plan, batch), ...WRITE_BATCH]);
      await this.execute(batch.last === plan.orders ? COMPLETE : []);
    });
  }

  private async execute(statements: readonly Sql[]): Promise<void> {
    for (const statement of statements) {
      await this.query(statement);
    }
  }

  private query({ text, values }: Sql): Promise<object[]> {
    return this.session.query(text, values);
  }
}
