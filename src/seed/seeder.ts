import { randomBytes } from 'node:crypto';
import { makeMonth, missingMonths } from '../audit/audit-partitions';
import { MAIN_WAREHOUSE_ID } from '../inventory/warehouses/warehouse.entity';
import type { BulkSession } from '../platform/database/bulk-session';
import * as batches from './batch.query';
import * as catalogue from './catalogue.query';
import { preparations } from './drawing.query';
import * as records from './records.query';
import type { Batch, SeedPlan } from './seed-plan';
import { lockSeededLevels } from './seed.locks';
import { ADJECTIVES, FIRST_NAMES, GOODS, LAST_NAMES, REASONS } from './words';

const SECOND_WAREHOUSE = 'ANNEX';
/** In so many months before the first order the shop is founded. */
const MONTHS_BEFORE = 4;

/** Writes a planned past, batch by batch. */
export class Seeder {
  private readonly domain: string;
  private readonly passwordHash = unusablePasswordHash();
  private users = 0;

  constructor(
    private readonly session: BulkSession,
    private readonly plan: SeedPlan,
    private readonly maxHoldSeconds: number,
  ) {
    this.domain = `shop-${plan.tag}.example`;
  }

  /** The months of the audit log that this past is written to. */
  async makeMonths(): Promise<void> {
    const day = new Date(this.plan.startMs - catalogue.FOUNDED_BEFORE_MS).toISOString().slice(0, 10);
    for (const month of await missingMonths(this.session, day, this.plan.months + MONTHS_BEFORE)) {
      await this.session.run(() => makeMonth(this.session, month));
    }
  }

  /** The products, where they are, and who sends them. Those that are there already stay as they are. */
  async stockTheShop(): Promise<void> {
    await this.session.run(async () => {
      for (const statement of preparations(this.plan)) {
        await this.session.query(statement);
      }
      await this.writeCatalogue();
    });
  }

  /**
   * Writes all orders of a batch and everything that belongs to them, or nothing. What it leaves is reconciled, and
   * nothing that comes later changes it. Says whether there was anything to do: not if it is there already.
   */
  async write(batch: Batch): Promise<boolean> {
    return this.session.run(async () => {
      const known = this.users;
      await this.drawBatch(batch);
      await lockSeededLevels(this.session);
      const isThere = (await this.session.query<object[]>(batches.BATCH_IS_THERE)).length > 0;
      if (!isThere) {
        await this.writeBatch(batch, known);
      }
      return !isThere;
    });
  }

  /** So that the next query is planned for what is there now. */
  async analyze(): Promise<void> {
    await this.session.run(() => this.session.query('ANALYZE'));
  }

  async largestCustomer(): Promise<{ id: string; email: string }> {
    const [row] = await this.session.query<{ id: string; email: string }[]>(
      'SELECT id, email FROM users JOIN seed_users USING (id) WHERE i = 1',
    );
    return row!;
  }

  private async writeCatalogue(): Promise<void> {
    const { session, plan } = this;
    await session.query(catalogue.STAFF, [plan.startMs, this.domain, this.passwordHash]);
    await session.query(catalogue.WAREHOUSE, [plan.startMs, SECOND_WAREHOUSE]);
    const goods = [
      GOODS.map(({ name }) => name),
      GOODS.map(({ materials }) => materials),
      GOODS.map(({ cents }) => cents),
    ];
    const words = [plan.tag, ADJECTIVES, ...goods];
    await session.query(catalogue.PRODUCTS, [plan.startMs, plan.products, ...words]);
    if ((await session.query<object[]>(catalogue.IS_THERE)).length > 0) {
      return;
    }
    await session.query(catalogue.WRITE_PRODUCTS);
    await session.query(catalogue.WRITE_LEVELS, [MAIN_WAREHOUSE_ID, SECOND_WAREHOUSE]);
    await session.query(catalogue.WRITE_INITIAL_STOCK, [MAIN_WAREHOUSE_ID]);
    await session.query(catalogue.WRITE_PRODUCT_AUDIT, [MAIN_WAREHOUSE_ID]);
  }

  private async drawBatch({ days, first, last }: Batch): Promise<void> {
    const { orders, users, products, endMs, recentFrom } = this.plan;
    const ofDays = [days.map((day) => day.start), days.map((day) => day.first), days.map((day) => day.orders)];
    await this.session.query(batches.DRAW_ORDERS, [...ofDays, orders, users, recentFrom]);
    await this.session.query(batches.CUT_OFF, [endMs]);
    await this.session.query(batches.DRAW_USERS, [first, last, orders, users]);
    this.users = 1 + Math.floor(((users - 1) * last) / orders);
    await this.session.query(batches.DRAW_LINES, [products, MAIN_WAREHOUSE_ID, SECOND_WAREHOUSE]);
  }

  private async writeBatch({ days, last }: Batch, knownUsers: number): Promise<void> {
    const { session } = this;
    await session.query(batches.DRAW_HOLDS, [REASONS, this.maxHoldSeconds]);
    await session.query(batches.DRAW_STEPS);
    await session.query(batches.DRAW_SUPPLIES, [days[0]!.start]);
    const people = [FIRST_NAMES, LAST_NAMES, this.domain, this.passwordHash];
    await session.query(records.WRITE_USERS, [knownUsers, ...people]);
    for (const statement of records.WRITE_BATCH) {
      await session.query(statement);
    }
    if (last === this.plan.orders) {
      await session.query(catalogue.OPEN_FOR_SALE);
    }
  }
}

/** As argon2id writes it, but of no password: the hash is random. */
function unusablePasswordHash(): string {
  const [salt, hash] = [16, 32].map((size) => randomBytes(size).toString('base64').replaceAll('=', ''));
  return `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${hash}`;
}
