import './platform/config/env-file';
import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { AuditArchive, AuditLogInUse } from './audit/audit-archive';
import { partitionsBefore } from './audit/audit-partitions';
import { openDatabase } from './open-database';
import { loadConfig } from './platform/config/app-config';
import { BulkSession } from './platform/database/bulk-session';
import { databaseDay } from './platform/database/clock';
import { migrate } from './platform/database/migrate';
import { log } from './platform/logging/logger';
import { Failure, type Program, runProgram } from './program';

const USAGE = `npm run audit:archive -- --before 2026-01 [--drop]

Detaches the months before that one (UTC) from the audit log. Each stays in the database as its own table, such as
audit_logs_2025_12, which you can dump with pg_dump -t audit_logs_2025_12 and then drop; --drop drops it at once, for
good. The month must have begun at least 31 days ago, and before the events that EVENT_RETENTION_DAYS keeps: those are
read from the audit log. The audit log records what was done.
`;
const OPTIONS = { before: { type: 'string' }, drop: { type: 'boolean' }, help: { type: 'boolean' } } as const;
const DAY_MS = 86_400_000;
const YOUNGEST_DAYS = 31;

void runProgram('The archiving failed.', archive);

/** Detaches old months from the audit log while other processes run. After a signal it finishes the current month. */
async function archive(program: Program): Promise<void> {
  const { before, drop = false, help } = argumentsForTheReader();
  if (help) {
    process.stdout.write(USAGE);
    return;
  }
  const month = monthOf(before);
  const config = loadConfig();
  log.level = 'warn';
  const database = await program.keep(openDatabase(config, { mayShare: true }), (opened) => opened.stop());
  await migrate(database.direct.url, database.direct.variable);
  const session = await program.keep(BulkSession.open(database.direct.url), (opened) => opened.close());
  assertOld(month, await databaseDay(session), Math.max(YOUNGEST_DAYS, config.eventRetentionDays + 1));
  await takeOut(program, session, month, drop);
}

async function takeOut(program: Program, session: BulkSession, month: string, isDropping: boolean): Promise<void> {
  let isInterrupted = false;
  void program.interrupted.then(() => (isInterrupted = true));
  const partitions = await partitionsBefore(session, month);
  const several = `${partitions.length} ${partitions.length === 1 ? 'partition' : 'partitions'}`;
  const end = isDropping ? 'dropped' : 'kept as tables';
  process.stdout.write(`${several} of the audit log before ${month}, to be ${end}.\n`);
  const archiving = new AuditArchive(session, isDropping);
  for (const partition of partitions) {
    if (isInterrupted) {
      process.exitCode = 1;
      return;
    }
    const archived = await archiving.archive(partition).catch((error: unknown) => {
      throw error instanceof AuditLogInUse ? new Failure(error.message) : error;
    });
    process.stdout.write(`${partition.name}: ${archived ? `${archived.rows} rows` : 'taken out meanwhile'}\n`);
  }
}

function argumentsForTheReader(): { before?: string; drop?: boolean; help?: boolean } {
  try {
    return parseArgs({ args: process.argv.slice(2), options: OPTIONS }).values;
  } catch (error) {
    // The first sentence names the argument; the rest is about arguments that begin with a dash.
    throw new Failure((error as Error).message.split(/[.\n]/, 1)[0]);
  }
}

function monthOf(before = ''): string {
  if (!/^20\d\d-(0[1-9]|1[0-2])$/.test(before)) {
    throw new Failure('--before must be a month from 2000-01 to 2099-12, as 2026-01');
  }
  return before;
}

function assertOld(month: string, today: string, days: number): void {
  const latest = new Date(Date.parse(today) - days * DAY_MS).toISOString().slice(0, 'yyyy-mm'.length);
  if (month > latest) {
    throw new Failure(`--before must be a month that began ${days} days ago or earlier: ${latest} is the latest`);
  }
}
