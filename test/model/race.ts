import stringify from 'safe-stable-stringify';
import { normal } from './game';
import { linearize, type Model, type Operation, type Verdict } from './linearizability';
import { type Outcome, expire, joined, play, step } from './model';
import type { Answer, Command, Id, State } from './state';
import { overdueHolds } from './wire';
import type { Seen, World } from './world';

/** A command that was answered. */
export interface Call {
  readonly command: Command;
  readonly seen: Seen;
  /** Nothing else was under way. */
  readonly isAlone: boolean;
}

/** A state, and what was written down on the way to it. */
export type Point = Omit<Outcome, 'answer'>;

/** Runs commands at once and afterwards looks for an order in which the model explains all answers. */
export class Race {
  readonly operations: Operation<Call>[] = [];
  private clock = 0;

  constructor(private readonly world: World) {}

  /** Moments are counted, not measured: all callers live in one process. */
  async send(command: Command, process: number): Promise<Seen> {
    const start = (this.clock += 1);
    const seen = await this.world.send(command, process);
    this.operations.push({ call: { command, seen, isAlone: false }, start, end: (this.clock += 1) });
    return seen;
  }

  /** Commands that do not disturb each other, while nothing else is under way: as if one after the other. */
  async calmly(commands: readonly Command[]): Promise<void> {
    const answers = await Promise.all(commands.map((command) => this.world.send(command)));
    answers.forEach((seen, index) => {
      const call = { command: commands[index]!, seen, isAlone: true };
      this.operations.push({ call, start: (this.clock += 1), end: (this.clock += 1) });
    });
  }

  explain(from: Point): Verdict<Point> {
    return linearize(this.operations, from, SERVICE);
  }

  /** One line for each command, in the order of the answers. */
  toString(): string {
    return this.operations
      .map(({ start, end, call: { command, seen } }) => {
        const { by, key, action } = command;
        const asked = `${by.role} ${by.id.slice(-4)} ${JSON.stringify(action)}${key === undefined ? '' : ` (${key})`}`;
        return `${start}–${end} ${asked} → ${seen.status} ${JSON.stringify(seen.body)}`;
      })
      .join('\n');
  }
}

/**
 * One thing in which the service is not atomic: to reclaim a hold that is over, for who needs its stock, is a
 * transaction of its own, and so is each batch of a sweep. So a hold may end by itself while such a command is under way.
 */
const SERVICE: Model<Point, Call> = {
  apply({ state, journal }, { command, seen, isAlone }) {
    if (changedNothing(seen)) {
      return { state, journal };
    }
    if (command.action.do === 'sweep' && !isAlone) {
      return { state, journal };
    }
    const outcome = (isAlone ? play : step)(state, command, seen.found);
    return 'answer' in outcome && agrees(seen, outcome.answer)
      ? { state: outcome.state, journal: joined(journal, outcome.journal) }
      : undefined;
  },

  internal({ state, journal }, underWay) {
    return overdueHolds(state).flatMap((hold) => {
      const cause = underWay.find(({ command }) => mayEnd(command, hold, state));
      if (!cause) {
        return [];
      }
      const expired = expire(state, [hold], cause.command);
      return [{ state: expired.state, journal: joined(journal, expired.journal) }];
    });
  },

  keyOf: ({ state }) => stringify(state),
};

/** Refusals that promise nothing but that: the service was too busy. */
function changedNothing({ status, body }: Seen): boolean {
  return status === 503 || body['code'] === 'idempotency_in_progress';
}

function mayEnd({ action }: Command, hold: Id, { reservations }: State): boolean {
  switch (action.do) {
    case 'sweep':
      return true;
    case 'adjust':
    case 'transfer':
      return reservations[hold]!.items.some(({ product }) => product === action.product);
    case 'reserve':
    case 'order items': {
      const products = action.lines.map(({ product }) => product);
      return reservations[hold]!.items.some(({ product }) => products.includes(product));
    }
    default:
      return false;
  }
}

function agrees(seen: Seen, answer: Answer): boolean {
  return (
    seen.status === answer.status &&
    seen.isReplay === (answer.isReplay ?? false) &&
    seen.location === answer.location &&
    contains(normal(seen.body), normal(answer.body))
  );
}

/** Whether everything that is expected is there, however deep; objects may have more members. */
function contains(actual: unknown, expected: unknown): boolean {
  if (typeof expected !== 'object' || expected === null) {
    return actual === expected;
  }
  if (typeof actual !== 'object' || actual === null) {
    return false;
  }
  const isWhole = !Array.isArray(expected) || (Array.isArray(actual) && actual.length === expected.length);
  return (
    isWhole &&
    Object.entries(expected).every(([name, value]) => contains((actual as Record<string, unknown>)[name], value))
  );
}
