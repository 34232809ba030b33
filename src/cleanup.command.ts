import './platform/config/env-file';
import 'reflect-metadata';
import { createApp } from './app.setup';
import { openDatabase } from './bootstrap';
import { ReservationExpiry } from './inventory/reservations/reservation-expiry';
import { loadConfig } from './platform/config/app-config';
import { migrate } from './platform/database/migrate';
import { log } from './platform/logging/logger';
import { loadSecrets } from './platform/security/secrets';
import { reportFailedStart } from './report-failed-start';

main().catch(reportFailedStart);

/** Runs the sweep once, beside whatever processes are running, and says how many reservations it expired. */
async function main(): Promise<void> {
  const config = loadConfig();
  log.level = 'warn';
  const database = await openDatabase(config);
  try {
    await migrate(database.url);
    const app = await createApp(
      { config, databaseUrl: database.url, secrets: await loadSecrets(config) },
      { cronJobs: false },
    );
    const expired = await app.get(ReservationExpiry, { strict: false }).sweep();
    process.stdout.write(`Expired ${expired} overdue ${expired === 1 ? 'reservation' : 'reservations'}.\n`);
    await app.close();
  } finally {
    await database.stop();
  }
}
