import { randomUUID } from 'node:crypto';
import type { Api, Reply } from '../support/api';
import { dataOf } from '../support/factories';
import { type TestApp, unique } from '../support/test-app';
import { type Action, type Caller, type Command, type Found, type Id, nothingYet, type Row, type State } from './state';
import { requestOf } from './wire';

export const MAIN = '00000000-0000-7000-8000-000000000001';

/** A moment that has just passed. */
const OVER = `date_trunc('milliseconds', clock_timestamp()) - interval '1 second'`;

/** What came back: `data`, or the problem. */
export interface Seen {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly location?: string;
  readonly isReplay: boolean;
  /** The one that the answer and its header name. */
  readonly requestIds: readonly unknown[];
  readonly found: Found;
}

export type Stock = readonly (readonly (number | undefined)[])[];

type CallerName = 'alice' | 'bob' | 'admin';

/** The service, one process of it or several on one database, and three people who use it and whom nobody else is. */
export class World {
  /** Makes skus and codes its own. */
  readonly tag = unique('M');
  readonly callers: Readonly<Record<CallerName, Caller>>;
  private readonly apis: Readonly<Record<Id, Api>>;
  private eventsRead?: string;

  constructor(private readonly processes: readonly TestApp[]) {
    const apis = { alice: this.first.aUser(), bob: this.first.aUser(), admin: this.first.aUser('admin') };
    const caller = (name: CallerName): Caller => ({ id: apis[name].userId, role: name === 'admin' ? 'admin' : 'user' });
    this.callers = { alice: caller('alice'), bob: caller('bob'), admin: caller('admin') };
    this.apis = Object.fromEntries(Object.values(apis).map((api) => [api.userId, api]));
  }

  get first(): TestApp {
    return this.processes[0]!;
  }

  command(by: Caller, action: Action, key?: string): Command {
    return { by, action, key, requestId: randomUUID() };
  }

  /** Ends the holds of earlier games: their time would come in this one, and show in what its sweeps say. */
  async tidyUp(): Promise<void> {
    await this.first.database.query(`UPDATE reservations SET expires_at = ${OVER} WHERE status = 'active'`);
    await this.first.sweep();
  }

  /** Makes warehouses that serve before and after MAIN, which serves again as it did at first. */
  async warehouses(...priorities: number[]): Promise<State> {
    const state = nothingYet();
    const { admin } = this.first;
    dataOf(await admin.patch(`/api/warehouses/${MAIN}`, { priority: 100, is_active: true }));
    state.warehouses[MAIN] = { code: 'MAIN', priority: 100, isActive: true };
    for (const priority of priorities) {
      const code = unique('WH');
      const { id } = dataOf(await admin.post('/api/warehouses', { code, name: 'A warehouse', priority }));
      state.warehouses[id] = { code, priority, isActive: true };
    }
    return state;
  }

  /**
   * Makes products.
   * @param stock for each of them what each warehouse has; undefined: not even a level
   * @param act has an administrator do something
   */
  async stockUp(stock: Stock, warehouses: readonly Id[], act: (command: Command) => Promise<Seen>): Promise<void> {
    const [main, ...others] = warehouses;
    const admin = (action: Action): Promise<Seen> => act(this.command(this.callers.admin, action));
    for (const [index, [inMain = 0, ...elsewhere]] of stock.entries()) {
      const product = { sku: `${this.tag}-of-old-${index}`, price: 1990, stock: inMain, warehouse: main! };
      const { found } = await admin({ do: 'create product', ...product });
      for (const [at, pieces] of elsewhere.entries()) {
        const level = { product: found.id!, warehouse: others[at]! };
        // A level can be empty, but it is not made so.
        const deltas = pieces === 0 ? [1, -1] : [pieces ?? []].flat();
        for (const delta of deltas) {
          await admin({ do: 'adjust', ...level, delta });
        }
      }
    }
  }

  /** @param process which of them is asked */
  async send(command: Command, process = 0): Promise<Seen> {
    const { action, by, key, requestId } = command;
    const test = this.processes[process % this.processes.length]!;
    if (action.do === 'sweep') {
      return told({ expired: await test.sweep() });
    }
    if (action.do === 'let time pass') {
      return this.letTimePass(action.reservation);
    }
    const { method, path, body } = requestOf(action)!;
    const headers = {
      'X-Request-Id': requestId,
      ...(key !== undefined && { 'Idempotency-Key': key }),
      ...('ifMatch' in action && action.ifMatch !== undefined && { 'If-Match': `"${action.ifMatch}"` }),
    };
    return seen(await this.apis[by.id]!.at(test.url).send(method, path, body, headers));
  }

  /** All pages of a list, oldest first. */
  async list(path: string, by: Caller = this.callers.admin, newest = Infinity): Promise<Row[]> {
    const rows: Row[] = [];
    let cursor: string | null = '';
    while (cursor !== null && rows.length < newest) {
      const limit = Math.min(100, newest - rows.length);
      const query: string = `limit=${limit}${cursor && `&cursor=${cursor}`}`;
      const reply = await this.apis[by.id]!.get(`${path}${path.includes('?') ? '&' : '?'}${query}`);
      rows.push(...(dataOf(reply) as Row[]));
      cursor = (reply.body as { page: { next_cursor: string | null } }).page.next_cursor;
    }
    return rows.reverse();
  }

  /** A list that has no pages. */
  async get(path: string): Promise<Row[]> {
    return dataOf(await this.apis[this.callers.admin.id]!.get(path)) as Row[];
  }

  /** From here on, `events` are read. */
  async followEvents(): Promise<void> {
    await this.first.tick();
    this.eventsRead = (await this.first.admin.get('/api/events')).body.page.next_cursor;
  }

  /** The events since then, as the audit log has them, by any process; with their version, if they have one. */
  async events(): Promise<Row[]> {
    await this.first.tick();
    const events: Row[] = [];
    for (let after = this.eventsRead!, last = ''; after !== last;) {
      const api = this.first.admin.at(this.processes.at(-1)!.url);
      const { data, page } = (await api.get(`/api/events?limit=7&after=${after}`)).body;
      for (const { type: action, object, actor, request_id } of data) {
        events.push({
          ...{ action, object_type: object.type, object_id: object.id, version: object.version },
          ...{ actor, request_id },
        });
      }
      [last, after] = [after, page.next_cursor];
    }
    return events;
  }

  private async letTimePass(reservation: Id): Promise<Seen> {
    const [row] = await this.first.database.query<{ expires_at: Date }>(
      `UPDATE reservations SET expires_at = ${OVER} WHERE id = $1 AND status = 'active' RETURNING expires_at`,
      [reservation],
    );
    return told({ ended: row !== undefined }, { at: row?.expires_at.getTime() });
  }
}

function told(body: Record<string, unknown>, found: Found = {}): Seen {
  return { status: 200, body, isReplay: false, requestIds: [], found };
}

function seen({ status, body, headers }: Reply): Seen {
  const isSuccess = status < 300;
  const { id, reservation_id: reservation, updated_at: at } = isSuccess ? body.data : body;
  return {
    status,
    body: isSuccess ? body.data : body,
    location: headers['location'],
    isReplay: headers['idempotent-replayed'] === 'true',
    requestIds: [body.request_id, headers['x-request-id']],
    found: isSuccess ? { id, reservation, at: Date.parse(at) } : {},
  };
}
