import { expectSums, sorted } from './game';
import { type Intent, resolve } from './intents';
import { EXPIRY_ACTOR, joined, play } from './model';
import { type Point, Race } from './race';
import { type ActionOf, type Command, emptyJournal, type Id, type Row, type State } from './state';
import type { Seen, Stock, World } from './world';

/** Something that is done in a round. */
export interface Move {
  readonly intent: Intent;
  readonly process: number;
  /** Sent twice at once, to one process and the next, under one idempotency key. */
  readonly isTwice: boolean;
}

export interface Plan {
  readonly stock: Stock;
  /** Done one after the other. */
  readonly before: readonly Intent[];
  /** Rounds of several who act at once, each of whom acts when the one before was answered. */
  readonly rounds: readonly (readonly (readonly Move[])[])[];
}

/** What happened when a plan was carried out, as the model explains it. */
export class History {
  readonly counts = { commands: 0, refusedAsBusy: 0, mostStates: 0 };

  private constructor(
    private readonly world: World,
    private point: Point,
  ) {}

  /** Fails if a round cannot be explained. */
  static async make(world: World, from: State, { stock, before, rounds }: Plan): Promise<History> {
    const history = new History(world, { state: from, journal: emptyJournal() });
    await world.tidyUp();
    await world.followEvents();
    await world.stockUp(stock, Object.keys(from.warehouses), (command) => history.alone(command));
    for (const intent of before) {
      const wanted = resolve(intent, history.point.state, world);
      if (wanted) {
        await history.alone(world.command(wanted.by, wanted.action, wanted.key));
      }
    }
    for (const round of rounds) {
      await history.round(round);
    }
    return history;
  }

  /**
   * Fails unless ledger, audit log and order histories have the rows that the model has, whatever their order, and unless the
   * feed of events tells all of them, what happened to an object in the order in which it happened.
   */
  async expectWritten(): Promise<void> {
    const { state, journal } = this.point;
    const [products, orders] = [Object.keys(state.products), Object.keys(state.orders)];
    for (const id of products) {
      expectSums(await this.world.list(`/api/products/${id}/stock-movements`));
    }
    const written = async (table: string, columns: string, id: string, ids: Id[]): Promise<Row[]> =>
      this.world.first.database.query(`SELECT ${columns} FROM ${table} WHERE ${id} = ANY($1)`, [ids]);
    const movement = `product_id, warehouse_id, kind, available_delta, reserved_delta, reservation_id, order_id`;
    const movements = await written('stock_movements', `${movement}, actor, request_id`, 'product_id', products);
    expect(sorted(movements.map(anonymous))).toEqual(sorted(journal.movements.map(anonymous)));
    const audit = 'action, object_type, object_id, actor, request_id';
    const objects = [...products, ...orders, ...Object.keys(state.reservations)];
    const audited = await written('audit_logs', audit, 'object_id', objects);
    expect(sorted(audited.map(anonymous))).toEqual(sorted(journal.audit.map(anonymous)));
    const events = await this.world.events();
    expect(sorted(events.map(({ version: _, ...row }) => anonymous(row)))).toEqual(
      sorted(journal.audit.map(anonymous)),
    );
    expectInOrder(events);
    const change = 'order_id, from_status AS "from", to_status AS "to", actor, request_id';
    const changes = await written('order_status_changes', change, 'order_id', orders);
    expect(sorted(changes.map(anonymous))).toEqual(sorted(journal.history.map(anonymous)));
  }

  private async alone(command: Command): Promise<Seen> {
    const seen = await this.world.send(command);
    const { state, answer, journal } = play(this.point.state, command, seen.found);
    expect(seen).toMatchObject({ status: answer.status });
    this.point = { state, journal: joined(this.point.journal, journal) };
    this.counts.commands += 1;
    return seen;
  }

  /** Everybody acts; when all is calm, what is over is swept, and everything is read: that must be explained as well. */
  private async round(players: readonly (readonly Move[])[]): Promise<void> {
    const race = new Race(this.world);
    await Promise.all(players.map((moves) => this.act(race, moves)));
    this.counts.commands += race.operations.length;
    this.counts.refusedAsBusy += race.operations.filter(({ call }) => call.seen.status === 503).length;
    const { admin } = this.world.callers;
    const things = this.thingsAfter(race);
    await race.calmly([this.world.command(admin, { do: 'sweep' })]);
    await race.calmly(things.map((thing) => this.world.command(admin, { do: 'read', ...thing })));
    const verdict = race.explain(this.point);
    this.counts.mostStates = Math.max(this.counts.mostStates, verdict.visited);
    if (verdict.outcome !== 'explained') {
      throw new Error(`${verdict.outcome} (${verdict.visited} states):\n${String(race)}`);
    }
    this.point = verdict.state!;
  }

  private async act(race: Race, moves: readonly Move[]): Promise<void> {
    for (const [index, { intent, process, isTwice }] of moves.entries()) {
      const wanted = resolve(intent, this.point.state, this.world);
      if (wanted) {
        const { by, action } = wanted;
        const key = isTwice ? `twice-${index}` : wanted.key;
        const send = (to: number): Promise<Seen> => race.send(this.world.command(by, action, key), to);
        await Promise.all(isTwice ? [send(process), send(process + 1)] : [send(process)]);
      }
    }
  }

  /** All that there may be now. */
  private thingsAfter({ operations }: Race): Omit<ActionOf<'read'>, 'do'>[] {
    const { products, reservations, orders } = this.point.state;
    const seen = operations.map(({ call }) => call.seen);
    const made = seen.map(({ location = '', found }) => ({ location, ...found }));
    const idsAt = (path: string): Id[] => made.flatMap(({ location, id }) => (location.startsWith(path) ? id! : []));
    const held = made.flatMap(({ reservation }) => reservation ?? []);
    const all = {
      products: Object.keys(products),
      reservations: [...Object.keys(reservations), ...held, ...idsAt('/api/reservations')],
      orders: [...Object.keys(orders), ...idsAt('/api/orders')],
    } as const;
    return (['products', 'reservations', 'orders'] as const).flatMap((thing) =>
      [...new Set(all[thing])].map((id) => ({ thing, id })),
    );
  }
}

/** A hold that is over ends in the name of whoever needed it, or of a sweep: which of them, nobody can foresee. */
/** Of a reservation, its making comes first and nothing after its end; of an order, its versions count up. */
function expectInOrder(events: readonly Row[]): void {
  for (const id of new Set(events.map((event) => event['object_id']))) {
    const own = events.filter((event) => event['object_id'] === id);
    const type = own[0]!['object_type'];
    const actions = own.map((event) => String(event['action']));
    if (type === 'order') {
      expect(own.map((event) => event['version'])).toEqual(own.map((_, index) => index + 1));
    } else if (type === 'reservation') {
      const ends = actions.findIndex((action) => !['reservation.created', 'reservation.extended'].includes(action));
      expect([actions[0], ends]).toEqual(['reservation.created', ends === -1 ? -1 : actions.length - 1]);
    }
  }
}

function anonymous(row: Row): Row {
  return row['actor'] === EXPIRY_ACTOR ? { ...row, request_id: 'of somebody' } : row;
}
