import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { AccessTokens } from '../src/platform/security/access-tokens';
import { Failure } from '../src/program';

export const PORT = 3999;
const JWT_SECRET = 'of the bench alone, and of no use elsewhere';
/** The same as in `npm start`. */
const NODE_OPTIONS = ['--max-semi-space-size=64'];

/** A token that lasts longer than any benchmark. */
export function tokenFor(id: string, role: 'admin' | 'user'): string {
  return new AccessTokens(JWT_SECRET, 86_400).sign({ id, role });
}

/**
 * Starts the service in its own process, with log, token check, validation and a rate limit that is too high to reach.
 * Returns a function that stops it.
 */
export async function startService(databaseUrl: string, dataDir: string): Promise<() => Promise<void>> {
  const settings = {
    DATABASE_URL: databaseUrl,
    DATA_DIR: dataDir,
    PORT: String(PORT),
    JWT_SECRET,
    RATE_LIMIT_PER_MINUTE: '10000000',
    // No hold ends while it is counted.
    RESERVATION_TTL_SECONDS: '86400',
    RESERVATION_MAX_TTL_SECONDS: '86400',
  };
  const service = fork(join(__dirname, '../src/main.js'), {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: NODE_OPTIONS,
  });
  const exited = once(service, 'exit');
  for (const deadline = performance.now() + 30_000; !(await isReady());) {
    if (service.exitCode !== null || performance.now() > deadline) {
      throw new Failure(`The service does not start on port ${PORT}`);
    }
  }
  return async () => {
    service.kill('SIGTERM');
    await exited;
  };
}

function isReady(): Promise<boolean> {
  return fetch(`http://127.0.0.1:${PORT}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  );
}
