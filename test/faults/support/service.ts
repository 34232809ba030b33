import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { AccessTokens } from '../../../src/platform/security/access-tokens';
import type { Role } from '../../../src/platform/security/actor';
import { Running } from '../../support/program';
import { until } from '../../support/race';
import { Caller } from './caller';
import type { Postgres } from './postgres';

const ROOT = resolve(__dirname, '..', '..', '..');
const JWT_SECRET = 'a secret that only the tests know, 32+';
export const POOL_SIZE = 5;
const tokens = new AccessTokens(JWT_SECRET, 3600);

/** A token as the service itself would sign it now, by the right clock. */
export function tokenOf(role: Role, id: string = randomUUID()): string {
  return tokens.sign({ id, role });
}

/** The built service as a process: `dist/src/main.js`, which is what `npm start` starts. */
export class Service {
  private constructor(
    private readonly env: Record<string, string>,
    private readonly nodeOptions: string[],
    private running: Running,
    readonly url: string,
  ) {}

  /** @param env variables that differ from these tests' own: no rate limits, a pool of five, only warnings logged */
  static async start(
    postgres: Pick<Postgres, 'url'>,
    env: Record<string, string> = {},
    nodeOptions: string[] = [],
  ): Promise<Service> {
    const all = {
      ...{ DATABASE_URL: postgres.url, JWT_SECRET, PORT: '0', LOG_LEVEL: 'warn' },
      ...{ DATABASE_POOL_SIZE: String(POOL_SIZE), RATE_LIMIT_PER_MINUTE: '0', LOGIN_RATE_LIMIT_PER_MINUTE: '0' },
      ...env,
    };
    const running = launch(all, nodeOptions);
    return new Service(all, nodeOptions, running, await addressOf(running));
  }

  /** Starts it again after its end, at the same address. */
  async comeBack(): Promise<void> {
    this.running = launch({ ...this.env, PORT: new URL(this.url).port }, this.nodeOptions);
    await addressOf(this.running);
  }

  /** Everything that it has logged: a line of JSON each. */
  get logged(): Record<string, unknown>[] {
    const lines = this.running.stdout.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get pid(): number {
    return this.running.child.pid!;
  }

  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    return this.running.end(signal);
  }

  as(role: Role, id?: string): Caller {
    return new Caller(() => this.url, tokenOf(role, id));
  }

  get anonymous(): Caller {
    return new Caller(() => this.url);
  }

  async isReady(): Promise<boolean> {
    return (await this.anonymous.ask({ path: '/health/ready' })).status === 200;
  }
}

function launch(env: Record<string, string>, nodeOptions: string[]): Running {
  const args = [...nodeOptions, join(ROOT, 'dist', 'src', 'main.js')];
  return new Running(
    spawn(process.execPath, args, { cwd: join(ROOT, 'dist'), env: { PATH: process.env['PATH'], ...env } }),
  );
}

/** Where it serves, once it does; one that does not is not left behind. */
async function addressOf(running: Running): Promise<string> {
  let address: string | undefined;
  let end: { readonly code: number | null } | undefined;
  void running.exited.then((code) => (end = { code }));
  const isServing = async (): Promise<boolean> => {
    if (end) {
      throw new Error(`The service ended with ${end.code}: ${running.stdout}${running.stderr}`);
    }
    return (address = /API +(http:\S+)\/api\n[^]*\n\n/.exec(running.stdout)?.[1]) !== undefined;
  };
  try {
    await until(isServing, 'it serves', 60);
    return address!;
  } catch (error) {
    running.child.kill('SIGKILL');
    throw error;
  }
}
