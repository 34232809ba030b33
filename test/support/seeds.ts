import { createDatabase, type TestDatabase } from './database';
import { once } from './once';
import { Build, type Running } from './program';

export const END = '2026-11-01';
/** A past that is large enough for all there is, at a fixed end so that it is always the same. */
export const ARGUMENTS = ['--orders', '2000', '--months', '3', '--end', END];

const SEEDED = 'holdfast_seeded';

/** A copy of a database that was seeded with ARGUMENTS, which is done once for a run of the tests. */
export async function createSeededDatabase(): Promise<TestDatabase> {
  await once('seeded', async () => {
    const database = await createDatabase({ name: SEEDED });
    const program = await SeedProgram.compile();
    await program.run(database);
    // Of a database that somebody is connected to there are no copies.
    await database.pool.end();
  });
  return createDatabase({ template: SEEDED });
}

/** The seed as a process. */
export class SeedProgram {
  private constructor(private readonly build: Build) {}

  static async compile(): Promise<SeedProgram> {
    return new SeedProgram(await Build.make());
  }

  start(database: TestDatabase, args: string[], env: Record<string, string> = {}): Running {
    return this.build.start('seed.command.js', args, { DATABASE_URL: database.url, ...env });
  }

  /** Runs it to its end, which must be a good one. */
  async run(database: TestDatabase, args = ARGUMENTS, env: Record<string, string> = {}): Promise<Running> {
    const run = this.start(database, args, env);
    if ((await run.exited) !== 0) {
      throw new Error(run.stderr);
    }
    return run;
  }
}

/** Rows of the ledger whose `after` is not what the rows up to them add up to, or is below zero. */
export async function wrongMovements(database: TestDatabase): Promise<object[]> {
  return database.query(`
    SELECT * FROM (
      SELECT *, sum(available_delta) OVER past AS available, sum(reserved_delta) OVER past AS reserved FROM stock_movements
      WINDOW past AS (PARTITION BY product_id, warehouse_id ORDER BY created_at, id)
    ) AS ledger
    WHERE available_after <> available OR reserved_after <> reserved OR available < 0 OR reserved < 0`);
}
