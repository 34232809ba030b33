import {
  emptyJournal,
  type Answer,
  type Caller,
  type Command,
  type Id,
  type Journal,
  type Row,
  type State,
} from './state';
import { joined, play } from './model';
import { listedOrderView, orderView, productView, reservationView, standing } from './wire';
import type { Seen, World } from './world';

/** The service and the model side by side: every command goes to both, and then they must look the same. */
export class Game {
  private journal: Journal = emptyJournal();
  /** Commands with an idempotency key, which may be sent again. */
  readonly keyed: Command[] = [];
  /** How the commands were answered, as they should be. */
  readonly answers: string[] = [];

  private constructor(
    readonly world: World,
    public state: State,
  ) {}

  static async begin(world: World): Promise<Game> {
    await world.tidyUp();
    const warehouses = await world.warehouses(50, 200);
    await world.followEvents();
    return new Game(world, warehouses);
  }

  async act(command: Command): Promise<Seen> {
    const seen = await this.world.send(command);
    const asked = { ...command, requestId: await this.requestIdOf(command, seen) };
    const { state, answer, journal } = play(this.state, asked, seen.found);
    this.state = state;
    this.journal = joined(this.journal, journal);
    expectAnswer(seen, answer, command);
    await this.compare(journal);
    this.answers.push(
      `${command.action.do}: ${answer.status} ${answer.status < 300 ? '' : String(answer.body['code'])}`.trim(),
    );
    if (command.key !== undefined) {
      this.keyed.push(command);
    }
    return seen;
  }

  /** When all is done: everything that was written down and told, and that each user sees what is his and nothing else. */
  async end(): Promise<void> {
    await this.compare(this.journal);
    expectRows(await this.world.events(), this.journal.audit);
    const { alice, bob } = this.world.callers;
    for (const user of [alice, bob]) {
      const own = (things: Record<Id, { user: Id }>): Id[] =>
        Object.keys(things).filter((id) => things[id]!.user === user.id);
      await this.expectList('/api/reservations', own(this.state.reservations), reservationView, user);
      await this.expectList('/api/orders', own(this.state.orders), listedOrderView, user);
    }
  }

  /** Everything as it is now, and of the past what stands beside that which was just written. */
  private async compare({ movements, history }: Journal): Promise<void> {
    const { state } = this;
    const [moved, changed] = [movements.map((row) => row['product_id']), history.map((row) => row['order_id'])];
    await Promise.all([
      this.expectList('/api/reservations', Object.keys(state.reservations), reservationView),
      this.expectList('/api/orders', Object.keys(state.orders), listedOrderView),
      ...Object.keys(state.orders)
        .filter((id) => standing(state, id) !== state.orders[id])
        .map((id) => this.compareOrder(id)),
      ...Object.keys(state.products).map((id) => this.compareProduct(id)),
      ...[...new Set(moved)].map((id) => this.compareLedger(id as Id)),
      ...[...new Set(changed)].map((id) => this.compareHistory(id as Id)),
      this.compareAudit(),
    ]);
  }

  private async expectList(
    path: string,
    ids: Id[],
    view: (state: State, id: Id) => object,
    by: Caller = this.world.callers.admin,
  ): Promise<void> {
    const isAdmin = by === this.world.callers.admin;
    // An admin sees those of other runs too, which are older.
    const rows = await this.world.list(path, by, isAdmin ? ids.length : undefined);
    expect(rows).toMatchObject(ids.map((id) => view(this.state, id)));
  }

  private async compareProduct(id: Id): Promise<void> {
    const { world, state } = this;
    const read = world.command(world.callers.admin, { do: 'read', thing: 'products', id });
    expect((await world.send(read)).body).toMatchObject(productView(state, id));
    // Past the API, because what is over reads as available before it is tidied up.
    const levels = await world.first.database.query(
      'SELECT warehouse_id, available, reserved FROM stock_levels WHERE product_id = $1 ORDER BY warehouse_id',
      [id],
    );
    const expected = Object.entries(state.levels[id]!).map(([warehouse_id, level]) => ({ warehouse_id, ...level }));
    expect(levels).toEqual(expected.sort((left, right) => (left.warehouse_id < right.warehouse_id ? -1 : 1)));
  }

  /** By itself: one whose hold is over reads otherwise in the list. */
  private async compareOrder(id: Id): Promise<void> {
    const { world, state } = this;
    const read = world.command(world.callers.admin, { do: 'read', thing: 'orders', id });
    expect((await world.send(read)).body).toMatchObject(orderView(state, id));
  }

  private async compareLedger(id: Id): Promise<void> {
    const movements = await this.world.list(`/api/products/${id}/stock-movements`);
    expectSums(movements);
    expectRows(
      movements,
      this.journal.movements.filter((row) => row['product_id'] === id),
    );
  }

  private async compareHistory(id: Id): Promise<void> {
    const rows = await this.world.get(`/api/orders/${id}/history`);
    const own = this.journal.history.filter((row) => row['order_id'] === id);
    expect(rows).toMatchObject(own.map(({ order_id: _, ...change }) => change));
  }

  private async compareAudit(): Promise<void> {
    const { audit } = this.journal;
    expectRows(await this.world.list('/api/audit-logs', this.world.callers.admin, audit.length), audit);
  }

  /** A sweep is nobody's request: which id it works under shows in the audit log only. */
  private async requestIdOf({ action, requestId }: Command, { body }: Seen): Promise<Id> {
    if (action.do !== 'sweep' || body['expired'] === 0) {
      return requestId;
    }
    const [newest] = await this.world.list('/api/audit-logs', this.world.callers.admin, 1);
    return newest!['request_id'] as Id;
  }
}

function expectAnswer(seen: Seen, answer: Answer, { requestId }: Command): void {
  expect({ status: seen.status, body: normal(seen.body) }).toMatchObject({
    status: answer.status,
    body: normal(answer.body),
  });
  expect({ location: seen.location, isReplay: seen.isReplay }).toEqual({
    location: answer.location,
    isReplay: answer.isReplay ?? false,
  });
  expect(seen.requestIds.filter((id) => id !== requestId)).toEqual([]);
}

/** The order of the shortages is not promised. */
export function normal(body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { shortages } = body;
  return Array.isArray(shortages) ? { ...body, shortages: sorted(shortages as Row[]) } : body;
}

/** Every movement says what was there after it. */
export function expectSums(movements: readonly Row[]): void {
  const levels: Record<string, { available: number; reserved: number }> = {};
  for (const row of movements) {
    const level = (levels[row['warehouse_id'] as Id] ??= { available: 0, reserved: 0 });
    level.available += row['available_delta'] as number;
    level.reserved += row['reserved_delta'] as number;
    expect(row).toMatchObject({ available_after: level.available, reserved_after: level.reserved });
  }
}

/** The same rows in the order of their requests; what one request writes may stand in any order. */
function expectRows(actual: readonly Row[], expected: readonly Row[]): void {
  const [example] = expected;
  const shown = actual.map((row) => Object.fromEntries(Object.keys(example ?? {}).map((name) => [name, row[name]])));
  expect(byRequest(shown)).toEqual(byRequest(expected));
}

function byRequest(rows: readonly Row[]): Row[][] {
  const requests: Row[][] = [];
  for (const row of rows) {
    const last = requests.at(-1);
    if (last?.[0]!['request_id'] === row['request_id']) {
      last!.push(row);
    } else {
      requests.push([row]);
    }
  }
  return requests.map(sorted);
}

export function sorted(rows: readonly Row[]): Row[] {
  const text = (row: Row): string => JSON.stringify(Object.entries(row).sort());
  return [...rows].sort((left, right) => (text(left) < text(right) ? -1 : 1));
}
