import type { EventRow } from '../feed/feed.query';

/** How many ids of a kind a digest names: who has to know of each reads the events. */
const MOST_IDS = 50;

/** What has changed, for a screen that reloads it. */
export interface DigestFrame {
  /** How many events there were of each type. */
  readonly counts: Readonly<Record<string, number>>;
  readonly products: readonly string[];
  readonly reservations: readonly string[];
  readonly orders: readonly string[];
}

/** The names of an event's products, as its type has them. */
interface NewValue {
  readonly product_ids?: readonly string[];
  readonly items?: readonly { readonly product_id: string }[];
}

/** Adds up events until they are told. */
export class Digest {
  private readonly counts: Record<string, number> = {};
  private readonly products = new Set<string>();
  private readonly reservations = new Set<string>();
  private readonly orders = new Set<string>();

  add(event: EventRow): void {
    this.counts[event.action] = (this.counts[event.action] ?? 0) + 1;
    productsOf(event).forEach((id) => addUpToMost(this.products, id));
    if (event.objectType === 'reservation') {
      addUpToMost(this.reservations, event.objectId);
    } else if (event.objectType === 'order') {
      addUpToMost(this.orders, event.objectId);
    }
  }

  get frame(): DigestFrame {
    const { counts, products, reservations, orders } = this;
    return { counts, products: [...products], reservations: [...reservations], orders: [...orders] };
  }
}

function addUpToMost(ids: Set<string>, id: string): void {
  if (ids.size < MOST_IDS) {
    ids.add(id);
  }
}

function productsOf({ objectType, objectId, newValue }: EventRow): readonly string[] {
  switch (objectType) {
    case 'product':
    // A stock level bears the id of its product.
    case 'stock':
      return [objectId];
    case 'reservation':
    case 'order': {
      const { product_ids, items = [] } = (newValue ?? {}) as NewValue;
      return product_ids ?? items.map((item) => item.product_id);
    }
    default:
      return [];
  }
}
