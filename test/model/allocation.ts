import type { Id, Item, Line, State } from './state';

export interface Shortage {
  readonly product_id: Id;
  readonly warehouse_id?: Id;
  readonly requested: number;
  readonly available: number;
}

/** In the order in which they serve. */
export function activeWarehouses({ warehouses }: State): Id[] {
  return inOrder(warehouses).filter((id) => warehouses[id]!.isActive);
}

export function inOrder(warehouses: State['warehouses']): Id[] {
  return Object.keys(warehouses).sort(
    (left, right) => warehouses[left]!.priority - warehouses[right]!.priority || (left < right ? -1 : 1),
  );
}

/** Where all that is asked for comes from, or every line that is short: all or none. */
export function allocate(state: State, lines: readonly Line[]): { items: Item[]; shortages: Shortage[] } {
  const shortages: Shortage[] = [];
  const taken: Item[] = [];
  const takenOf = (product: Id, warehouse?: Id): number =>
    sum(taken.filter((item) => item.product === product && (warehouse ?? item.warehouse) === item.warehouse));
  const left = (product: Id, warehouse: Id): number =>
    (state.levels[product]?.[warehouse]?.available ?? 0) - takenOf(product, warehouse);

  for (const { product, warehouse, quantity } of addedUp(lines)) {
    const sources = warehouse === undefined ? activeWarehouses(state) : [warehouse];
    const available = sources.reduce((pieces, source) => pieces + left(product, source), 0);
    if (available < quantity) {
      // Of a line that names no warehouse, what the named ones of its product get is a part.
      const named = warehouse === undefined ? takenOf(product) : 0;
      shortages.push({
        product_id: product,
        ...(warehouse !== undefined && { warehouse_id: warehouse }),
        requested: quantity + named,
        available: available + named,
      });
      continue;
    }
    const whole = sources.find((source) => left(product, source) >= quantity);
    let missing = quantity;
    for (const source of whole === undefined ? sources : [whole]) {
      const part = Math.min(missing, left(product, source));
      taken.push({ product, warehouse: source, quantity: part, price: state.products[product]!.price });
      missing -= part;
    }
  }
  return { items: shortages.length > 0 ? [] : byLevel(taken), shortages };
}

/** One line for each product and warehouse, those that name a warehouse first. */
function addedUp(lines: readonly Line[]): Line[] {
  const sums: Line[] = [];
  for (const line of lines) {
    const at = sums.findIndex(({ product, warehouse }) => product === line.product && warehouse === line.warehouse);
    if (at === -1) {
      sums.push(line);
    } else {
      sums[at] = { ...line, quantity: line.quantity + sums[at]!.quantity };
    }
  }
  return [
    ...sums.filter((line) => line.warehouse !== undefined),
    ...sums.filter((line) => line.warehouse === undefined),
  ];
}

/** One item for each level, in the order in which they are shown. */
function byLevel(taken: readonly Item[]): Item[] {
  const levels = new Map<string, Item>();
  for (const item of taken.filter(({ quantity }) => quantity > 0)) {
    const key = `${item.product} ${item.warehouse}`;
    levels.set(key, { ...item, quantity: item.quantity + (levels.get(key)?.quantity ?? 0) });
  }
  return [...levels].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, item]) => item);
}

function sum(items: readonly Item[]): number {
  return items.reduce((pieces, { quantity }) => pieces + quantity, 0);
}
