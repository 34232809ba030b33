import { randomBytes } from 'node:crypto';
import { Api } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { dataOf } from '../support/factories';
import { Build, type Running } from '../support/program';
import { JWT_SECRET } from '../support/test-app';
import { authorizations } from './callers';
import { Client } from './requests';

const ADMIN = { email: 'admin@example.com', password: 'an administrator of the tests' };
const NEVER = '0 0 0 29 2 *';
/** A heap in which a service that kept anything of each request would not live long. */
const HEAP_MB = 160;

/** The compiled program as a process of its own, so that its whole log and its memory are its own too. */
export class Service {
  private constructor(
    private readonly running: Running,
    readonly database: TestDatabase,
    readonly url: string,
    readonly admin: Api,
    readonly client: Client,
  ) {}

  static async start(): Promise<Service> {
    const [build, database] = [await Build.make(), await createDatabase()];
    const running = build.start('main.js', [], {
      NODE_ENV: 'production',
      NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}`,
      PORT: '0',
      DATABASE_URL: database.url,
      JWT_SECRET,
      ADMIN_EMAIL: ADMIN.email,
      ADMIN_PASSWORD: ADMIN.password,
      RATE_LIMIT_PER_MINUTE: '0',
      LOGIN_RATE_LIMIT_PER_MINUTE: '0',
      // No sweep by itself: what is written is written by the calls.
      CLEANUP_CRON: NEVER,
      LOG_LEVEL: 'trace',
    });
    const url = await running.address();
    const anonymous = new Api(url);
    const tokenOf = async (person: object): Promise<string> =>
      dataOf(await anonymous.post('/api/auth/login', person)).access_token;
    const register = async (name: string): Promise<string> => {
      const person = { email: `${name}@example.org`, password: randomBytes(12).toString('hex') };
      dataOf(await anonymous.post('/api/auth/register', person));
      return tokenOf(person);
    };
    const people = { admin: await tokenOf(ADMIN), ada: await register('ada'), bob: await register('bob') };
    const client = new Client(url, authorizations(people, JWT_SECRET));
    Object.entries(ADMIN).forEach(([kind, value]) => client.remember(kind, value));
    return new Service(running, database, url, new Api(url, { id: '', token: people.admin }), client);
  }

  get log(): string {
    return this.running.stdout;
  }

  get errors(): string {
    return this.running.stderr;
  }

  /** Ends it, waits until its log is written, and says its exit code. */
  async stop(): Promise<number | null> {
    this.client.close();
    return this.running.end('SIGTERM');
  }

  async remove(): Promise<void> {
    await this.stop();
    await this.database.drop();
  }
}
