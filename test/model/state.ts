/** What the model knows, and what can be asked of it. Ids are those of the service; money is in cents. */
export type Id = string;

export interface Caller {
  readonly id: Id;
  readonly role: 'user' | 'admin';
}

export interface Warehouse {
  readonly code: string;
  priority: number;
  isActive: boolean;
}

export interface Product {
  sku: string;
  price: number;
  isActive: boolean;
  version: number;
}

/** What one warehouse has of one product; a hold that is over counts as reserved until somebody ends it. */
export interface Level {
  available: number;
  reserved: number;
}

/** Pieces of one product in one warehouse, at the price that was held with them. */
export interface Item {
  readonly product: Id;
  readonly warehouse: Id;
  readonly quantity: number;
  readonly price: number;
}

export interface Reservation {
  readonly user: Id;
  readonly items: readonly Item[];
  readonly createdAt: number;
  status: 'active' | 'committed' | 'cancelled' | 'expired';
  /** Its moment has come. While the status is `active` it reads as expired, and only has to be tidied up. */
  isOver: boolean;
  expiresAt: number;
  order: Id | null;
}

export type OrderStatus = 'pending' | 'confirmed' | 'processing' | 'shipped' | 'delivered' | 'cancelled';

export interface Order {
  readonly user: Id;
  readonly items: readonly Item[];
  readonly reservation: Id;
  status: OrderStatus;
  version: number;
}

export interface State {
  readonly warehouses: Record<Id, Warehouse>;
  readonly products: Record<Id, Product>;
  /** By product and warehouse. */
  readonly levels: Record<Id, Record<Id, Level>>;
  readonly reservations: Record<Id, Reservation>;
  readonly orders: Record<Id, Order>;
  /** What was answered to a request with an idempotency key, by its scope. */
  readonly keys: Record<string, { body: string; answer: Answer }>;
}

export interface Line {
  readonly product: Id;
  readonly quantity: number;
  readonly warehouse?: Id;
}

export type Action =
  | { readonly do: 'create product'; sku: string; price: number; stock: number; warehouse: Id }
  | { readonly do: 'change product'; product: Id; price?: number; isActive?: boolean; ifMatch?: number }
  | { readonly do: 'create warehouse'; code: string; priority: number }
  | { readonly do: 'change warehouse'; warehouse: Id; priority?: number; isActive?: boolean }
  | { readonly do: 'adjust'; product: Id; warehouse: Id; delta: number }
  | { readonly do: 'transfer'; product: Id; from: Id; to: Id; quantity: number }
  | { readonly do: 'reserve'; lines: readonly Line[]; ttl?: number }
  | { readonly do: 'commit'; reservation: Id }
  | { readonly do: 'cancel'; reservation: Id }
  | { readonly do: 'extend'; reservation: Id; ttl: number }
  | { readonly do: 'order reservation'; reservation: Id }
  | { readonly do: 'order items'; lines: readonly Line[] }
  | { readonly do: 'change status'; order: Id; to: OrderStatus; ifMatch?: number }
  | { readonly do: 'read'; thing: 'products' | 'reservations' | 'orders'; id: Id }
  /** The moment of a hold comes. */
  | { readonly do: 'let time pass'; reservation: Id }
  | { readonly do: 'sweep' };

export type ActionOf<Do extends Action['do']> = Extract<Action, { do: Do }>;

/** An action, who asks for it, and in which request. */
export interface Command {
  readonly by: Caller;
  readonly requestId: Id;
  readonly key?: string;
  readonly action: Action;
}

/** What only the service can know beforehand: the ids that it gives, and what its clock says. */
export interface Found {
  readonly id?: Id;
  readonly reservation?: Id;
  readonly at?: number;
}

/** What the wire must show, as far as it is promised: a status, and members of `data` or of the problem. */
export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly location?: string;
  readonly isReplay?: boolean;
}

export type Row = Readonly<Record<string, unknown>>;

/** What is written down for good, in the order of the commands; within one command the order is not promised. */
export interface Journal {
  readonly movements: Row[];
  readonly audit: Row[];
  readonly history: Row[];
}

export function nothingYet(): State {
  return { warehouses: {}, products: {}, levels: {}, reservations: {}, orders: {}, keys: {} };
}

export function emptyJournal(): Journal {
  return { movements: [], audit: [], history: [] };
}
