/**
 * Were concurrent operations carried out as if one after the other, each at some moment between its call and its answer?
 * The search of Wing and Gong (Testing and Verifying Concurrent Objects, 1993): take an operation that none of the others
 * has to precede, let the model carry it out, and go on if it gives the answer that was seen. With Lowe's memory
 * (Testing for Linearizability, 2017): the same operations done and the same state reached need not be searched twice.
 */

/** An operation between two moments; `end` is Infinity if no answer came: then it may have taken effect, or not. */
export interface Operation<Call> {
  readonly call: Call;
  readonly start: number;
  readonly end: number;
}

export interface Model<State, Call> {
  /** The state after the call, if it can be carried out in this state with the answer that was seen. */
  apply(state: State, call: Call): State | undefined;
  /** What may happen by itself in this state while these calls are under way. */
  internal?(state: State, underWay: readonly Call[]): State[];
  /** The same for two states from which everything goes on alike. */
  keyOf(state: State): string;
}

export interface Verdict<State> {
  readonly outcome: 'explained' | 'not explained' | 'gave up';
  /** After the order that was found. */
  readonly state?: State;
  /** How many different states were looked at. */
  readonly visited: number;
}

interface Node<State> {
  readonly state: State;
  readonly done: ReadonlySet<number>;
}

/** @param limit the search gives up after so many states: it can take time exponential in the operations at once */
export function linearize<State, Call>(
  operations: readonly Operation<Call>[],
  first: State,
  model: Model<State, Call>,
  limit = 200_000,
): Verdict<State> {
  const visited = new Set<string>();
  const stack: Node<State>[] = [{ state: first, done: new Set() }];
  for (let node = stack.pop(); node; node = stack.pop()) {
    const { state, done } = node;
    if (operations.every(({ end }, index) => done.has(index) || end === Infinity)) {
      return { outcome: 'explained', state, visited: visited.size };
    }
    const key = `${[...done].sort((left, right) => left - right).join()} ${model.keyOf(state)}`;
    if (visited.has(key)) {
      continue;
    }
    if (visited.size >= limit) {
      return { outcome: 'gave up', visited: visited.size };
    }
    visited.add(key);
    stack.push(...successors(operations, node, model));
  }
  return { outcome: 'not explained', visited: visited.size };
}

function successors<State, Call>(
  operations: readonly Operation<Call>[],
  { state, done }: Node<State>,
  model: Model<State, Call>,
): Node<State>[] {
  const open = operations.map((operation, index) => ({ ...operation, index })).filter(({ index }) => !done.has(index));
  const firstEnd = Math.min(...open.map(({ end }) => end));
  // What was called after one of the others was answered has to come after that one.
  const underWay = open.filter(({ start }) => start <= firstEnd);
  const calls = underWay.map(({ call }) => call);
  const internal = model.internal?.(state, calls) ?? [];
  return [
    ...internal.map((next) => ({ state: next, done })),
    ...underWay.flatMap(({ call, index }) => {
      const next = model.apply(state, call);
      return next === undefined ? [] : [{ state: next, done: new Set([...done, index]) }];
    }),
  ];
}
