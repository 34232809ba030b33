import { ConfigurationError } from './platform/config/app-config';
import { DatabaseUnreachable } from './platform/database/migrate';
import { EmbeddedPostgresError } from './platform/embedded-postgres/embedded-postgres';

/** An address that cannot be listened on. */
export class AddressUnusable extends Error {}

const FOR_THE_READER = [ConfigurationError, DatabaseUnreachable, EmbeddedPostgresError, AddressUnusable];

/** One line for what the person who starts it can mend; everything else is a fault of ours, with its stack. */
export function reportFailedStart(error: unknown): void {
  const { message, stack } = error as Error;
  const isForTheReader = FOR_THE_READER.some((kind) => error instanceof kind);
  process.stderr.write(`Holdfast did not start. ${isForTheReader ? message : stack}\n`);
  process.exitCode = 1;
}
