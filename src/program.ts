import { ConfigurationError } from './platform/config/app-config';
import { DatabaseUnreachable, WrongSessions } from './platform/database/start-checks';
import { EmbeddedPostgresError } from './platform/embedded-postgres/embedded-postgres';
import { log } from './platform/logging/logger';

/** A failure that the user of the program can fix. The message is one line. */
export class Failure extends Error {}

const FOR_THE_READER = [Failure, ConfigurationError, DatabaseUnreachable, WrongSessions, EmbeddedPostgresError];
/** After a signal, the program does not wait longer than this for things to close. */
const LONGEST_SHUTDOWN_MS = 20_000;

/** What a program has opened, and whether it was told to stop. */
export class Program {
  /** Resolves at the first SIGINT or SIGTERM. Later ones are ignored: Ctrl-C arrives twice, once from npm. */
  readonly interrupted: Promise<void>;
  private readonly closers: (() => Promise<unknown>)[] = [];
  private isOver = false;

  constructor() {
    this.interrupted = new Promise((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.on(signal, () => {
          setTimeout(() => process.exit(1), LONGEST_SHUTDOWN_MS).unref();
          resolve();
        });
      }
    });
  }

  /** Waits for a resource to open, and closes it at the end, in reverse order of opening. */
  async keep<T>(opening: Promise<T>, close: (opened: T) => Promise<unknown>): Promise<T> {
    const opened = await opening;
    if (this.isOver) {
      await close(opened);
      throw new Failure('It was interrupted.');
    }
    this.closers.push(() => close(opened));
    return opened;
  }

  async end(): Promise<void> {
    this.isOver = true;
    for (const close of this.closers.reverse()) {
      await close().catch((error: unknown) => log.error({ err: error }, 'could not close'));
    }
  }
}

/**
 * Runs `work` to its end or to the first signal, then closes what it opened. Reports a failure in one line if the user
 * can fix it, else with the stack, and sets the exit code.
 */
export async function runProgram(failure: string, work: (program: Program) => Promise<void>): Promise<void> {
  const program = new Program();
  const running = work(program);
  try {
    await Promise.race([running, program.interrupted]);
  } catch (error) {
    process.exitCode = 1;
    const { message, stack } = error as Error;
    const isForTheReader = FOR_THE_READER.some((kind) => error instanceof kind);
    process.stderr.write(`${failure} ${isForTheReader ? message : stack}\n`);
  }
  await program.end();
  await running.catch(() => undefined);
}
