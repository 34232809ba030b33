import type { Shortage } from './allocation';
import {
  type Answer,
  type Command,
  emptyJournal,
  type Found,
  type Id,
  type Item,
  type Journal,
  type Level,
  type Order,
  type OrderStatus,
  type Reservation,
  type Row,
  type State,
} from './state';
import { overdueHolds } from './wire';

/** How a command is refused. */
export class Refusal extends Error {
  constructor(readonly answer: Answer) {
    super(JSON.stringify(answer));
  }
}

/** These holds are over, and the answer depends on what they have: they have to end before anything can be answered. */
export class Overdue extends Error {
  constructor(readonly holds: Id[]) {
    super(holds.join());
  }
}

export function refuse(status: number, code: string, members: object = {}): never {
  throw new Refusal({ status, body: { code, ...members } });
}

/** How a hold ends: what the ledger calls it, and whether its pieces are available again. */
const ENDINGS = {
  committed: { kind: 'commit', back: 0 },
  cancelled: { kind: 'release', back: 1 },
  expired: { kind: 'expire', back: 1 },
} as const;

interface Move {
  readonly kind: string;
  readonly available: number;
  readonly reserved: number;
  readonly reservation?: Id;
  readonly order?: Id | null;
}

/** The state while one command changes it, and what that writes down. */
export class Turn {
  readonly journal: Journal = emptyJournal();

  constructor(
    readonly state: State,
    readonly command: Command,
    readonly found: Found,
    private readonly actor = `user:${command.by.id}`,
  ) {}

  /** What has to exist, or there is nothing to talk about. */
  get<T>(things: Readonly<Record<Id, T>>, id: Id): T {
    return things[id] ?? refuse(404, 'not_found');
  }

  /** As `get`; what belongs to someone else is not even there, but for an admin. */
  getOwn<T extends { user: Id }>(things: Readonly<Record<Id, T>>, id: Id): T {
    const thing = this.get(things, id);
    const { by } = this.command;
    return thing.user === by.id || by.role === 'admin' ? thing : refuse(404, 'not_found');
  }

  level(product: Id, warehouse: Id): Level {
    return ((this.state.levels[product] ??= {})[warehouse] ??= { available: 0, reserved: 0 });
  }

  /** Moves pieces, and writes it into the ledger. */
  move({ product, warehouse }: Pick<Item, 'product' | 'warehouse'>, { kind, available, reserved, ...why }: Move): void {
    const level = this.level(product, warehouse);
    level.available += available;
    level.reserved += reserved;
    const deltas = { available_delta: available, reserved_delta: reserved };
    const causes = { reservation_id: why.reservation ?? null, order_id: why.order ?? null };
    this.journal.movements.push(
      this.signed({ product_id: product, warehouse_id: warehouse, kind, ...deltas, ...causes }),
    );
  }

  audit(action: string, id: Id): void {
    this.journal.audit.push(this.signed({ action, object_type: action.split('.')[0], object_id: id }));
  }

  endHold(id: Id, status: keyof typeof ENDINGS): void {
    const reservation = this.state.reservations[id]!;
    const { kind, back } = ENDINGS[status];
    for (const item of reservation.items) {
      const available = back * item.quantity;
      this.move(item, { kind, available, reserved: -item.quantity, reservation: id, order: reservation.order });
    }
    reservation.status = status;
    this.audit(`reservation.${status}`, id);
  }

  /** The pending order behind a hold ends with it. */
  cancelOrderOf({ order }: Reservation): void {
    if (order !== null && this.state.orders[order]!.status === 'pending') {
      this.setStatus(order, 'cancelled');
    }
  }

  makeOrder(id: Id, reservationId: Id): Order {
    const reservation = this.state.reservations[reservationId]!;
    reservation.order = id;
    const { user, items } = reservation;
    const order: Order = { user, items, reservation: reservationId, status: 'pending', version: 1 };
    this.state.orders[id] = order;
    this.audit('order.created', id);
    return order;
  }

  setStatus(id: Id, to: OrderStatus): void {
    const order = this.state.orders[id]!;
    this.journal.history.push(this.signed({ order_id: id, from: order.status, to }));
    order.status = to;
    order.version += 1;
    this.audit('order.status_changed', id);
  }

  /** Refuses what stock does not suffice for, unless holds on that stock are over and only have to be tidied up. */
  short(shortages: readonly Shortage[]): never {
    this.tidyUp(shortages.map((shortage) => shortage.product_id));
    return refuse(409, 'insufficient_stock', { shortages });
  }

  /** If holds on these products are over, has them end before this is answered. */
  tidyUp(products: readonly Id[]): void {
    const holds = overdueHolds(this.state).filter((id) =>
      this.state.reservations[id]!.items.some(({ product }) => products.includes(product)),
    );
    if (holds.length > 0) {
      throw new Overdue(holds);
    }
  }

  private signed(row: Row): Row {
    return { ...row, actor: this.actor, request_id: this.command.requestId };
  }
}
