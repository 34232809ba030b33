import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../support/race';
import type { Postgres } from './postgres';
import type { Service } from './service';

const PAUSE_MS = 50;

interface Told {
  readonly id: string;
  readonly object: { readonly type: string; readonly id: string; readonly version?: number };
}

/** Reads the feed of events from its beginning, of one process after the other, whatever happens to them meanwhile. */
export class FeedReader {
  private readonly told: Told[] = [];
  private cursor = 'beginning';
  private isStopped = false;
  private readonly running: Promise<void>;

  constructor(private readonly services: readonly Service[]) {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  /** Fails unless it has been told all that was committed, once, and what happened to an order in its order. */
  async expectAllOnce(postgres: Postgres): Promise<void> {
    const written = async (): Promise<string[]> =>
      (await postgres.query<{ id: string }>('SELECT id FROM audit_logs WHERE xid IS NOT NULL')).map(({ id }) => id);
    let expected: string[] = [];
    await until(async () => {
      expected = await written();
      return this.told.length >= expected.length;
    }, 'all has been told');
    await this.stop();
    const told = new Set(this.told.map(({ id }) => id));
    expect(this.told).toHaveLength(told.size);
    expect(expected.filter((id) => !told.has(id))).toEqual([]);
    // Jobs go on, and may have added what they say of stock.
    const all = new Set(await written());
    expect([...told].filter((id) => !all.has(id))).toEqual([]);
    const versions = new Map<string, number>();
    for (const { object } of this.told.filter(({ object: { type } }) => type === 'order')) {
      expect(object.version).toBe((versions.get(object.id) ?? 0) + 1);
      versions.set(object.id, object.version!);
    }
  }

  private async run(): Promise<void> {
    const callers = this.services.map((service) => service.as('admin'));
    for (let turn = 0; !this.isStopped; turn += 1) {
      const path = `/api/events?limit=1000&after=${this.cursor}`;
      const reply = await callers[turn % callers.length]!.ask({ path }).catch(() => undefined);
      if (reply?.status === 200) {
        this.told.push(...reply.body.data);
        this.cursor = reply.body.page.next_cursor;
      }
      await pause(PAUSE_MS);
    }
  }
}
