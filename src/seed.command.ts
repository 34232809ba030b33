import './platform/config/env-file';
import 'reflect-metadata';
import { openDatabase } from './open-database';
import { loadConfig } from './platform/config/app-config';
import { BulkSession } from './platform/database/bulk-session';
import { databaseDay } from './platform/database/clock';
import { migrate } from './platform/database/migrate';
import { log } from './platform/logging/logger';
import { Failure, type Program, runProgram } from './program';
import { readArguments, USAGE } from './seed/seed-arguments';
import { planOf, type SeedPlan } from './seed/seed-plan';
import { Seeder } from './seed/seeder';

void runProgram('The seed failed.', seed);

/** Fills the database with a made-up history of a shop. After a signal it finishes the current batch. */
async function seed(program: Program): Promise<void> {
  const { isForced, wantsHelp, end, ...request } = readArguments(process.argv.slice(2));
  if (wantsHelp) {
    process.stdout.write(USAGE);
    return;
  }
  const config = loadConfig();
  if (config.isProduction && !isForced) {
    throw new Failure('NODE_ENV is production: only --force writes made-up orders there.');
  }
  log.level = 'warn';
  const database = await program.keep(openDatabase(config, { mayShare: true }), (opened) => opened.stop());
  await migrate(database.direct.url, database.direct.variable);
  const session = await program.keep(BulkSession.open(database.direct.url), (opened) => opened.close());
  const plan = planOf({ ...request, end: end ?? (await databaseDay(session)) });
  await write(program, new Seeder(session, plan, config.reservationMaxTtlSeconds), plan);
}

async function write(program: Program, seeder: Seeder, plan: SeedPlan): Promise<void> {
  let isInterrupted = false;
  void program.interrupted.then(() => (isInterrupted = true));
  const begun = performance.now();
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  await seeder.makeMonths();
  await seeder.stockTheShop();
  for (const batch of plan.batches) {
    if (isInterrupted) {
      const there = `${batch.first - 1} of ${plan.orders} orders are there`;
      say(`Interrupted: ${there}; the same command with --end ${plan.end} goes on.`);
      process.exitCode = 1;
      return;
    }
    await seeder.write(batch);
    say(`${batch.last} of ${plan.orders} orders after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  }
  process.stdout.write(
    `${plan.orders} orders of ${plan.products} products, over ${plan.months} months before ${plan.end}.\n`,
  );
}
