import './platform/config/env-file';
import 'reflect-metadata';
import { createApp } from './app.setup';
import { openDatabase } from './open-database';
import { ReservationSweep } from './inventory/reservations/reservation-sweep';
import { loadConfig } from './platform/config/app-config';
import { migrate } from './platform/database/migrate';
import { checkSessions } from './platform/database/start-checks';
import { log } from './platform/logging/logger';
import { loadSecrets } from './platform/security/secrets';
import { type Program, runProgram } from './program';

void runProgram('The cleanup failed.', cleanUp);

/** Runs the sweep once, while other processes may run, and prints how many reservations it expired. */
async function cleanUp(program: Program): Promise<void> {
  const config = loadConfig();
  log.level = 'warn';
  const database = await program.keep(openDatabase(config, { mayShare: true }), (opened) => opened.stop());
  await checkSessions(database.url, config);
  await migrate(database.direct.url, database.direct.variable);
  const parts = { config, databaseUrl: database.url, secrets: await loadSecrets(config) };
  const app = await program.keep(createApp(parts, { cronJobs: false }), (opened) => opened.close());
  const expired = await app.get(ReservationSweep, { strict: false }).sweep();
  process.stdout.write(`Expired ${expired} overdue ${expired === 1 ? 'reservation' : 'reservations'}.\n`);
}
