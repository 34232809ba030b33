import stringify from 'safe-stable-stringify';
import { assertValid, RULES } from './rules';
import {
  type Action,
  type Answer,
  type Command,
  emptyJournal,
  type Found,
  type Id,
  type Journal,
  type State,
} from './state';
import { Overdue, Refusal, refuse, Turn } from './turn';
import { overdueHolds, requestOf } from './wire';

export const EXPIRY_ACTOR = 'system:reservation-expiry';

export interface Outcome {
  readonly state: State;
  readonly answer: Answer;
  readonly journal: Journal;
}

/** Nothing can be answered before these holds, which are over, have ended. */
export interface Blocked {
  readonly overdue: Id[];
}

const FOR_ADMINS: readonly Action['do'][] = [
  'create product',
  'change product',
  'create warehouse',
  'change warehouse',
  'adjust',
  'transfer',
];

/** What a command does to a state, and what it must be answered: all at once, or nothing. Changes nothing itself. */
export function step(before: State, command: Command, found: Found): Outcome | Blocked {
  const turn = new Turn(structuredClone(before), command, found);
  try {
    return { answer: carryOut(turn), state: turn.state, journal: turn.journal };
  } catch (error) {
    if (error instanceof Overdue) {
      return { overdue: error.holds };
    }
    if (error instanceof Refusal) {
      return { answer: error.answer, state: before, journal: emptyJournal() };
    }
    throw error;
  }
}

/** Ends holds that are over: for a sweep, or because somebody needs what they have. */
export function expire(before: State, holds: readonly Id[], command: Command): Omit<Outcome, 'answer'> {
  const turn = new Turn(structuredClone(before), command, {}, EXPIRY_ACTOR);
  for (const id of holds) {
    turn.endHold(id, 'expired');
    turn.cancelOrderOf(turn.state.reservations[id]!);
  }
  return { state: turn.state, journal: turn.journal };
}

/** What a command does that nobody else disturbs: what it needs of holds that are over is tidied up before. */
export function play(before: State, command: Command, found: Found): Outcome {
  if (command.action.do === 'sweep') {
    const holds = overdueHolds(before);
    return { ...expire(before, holds, command), answer: { status: 200, body: { expired: holds.length } } };
  }
  const outcome = step(before, command, found);
  if (!('overdue' in outcome)) {
    return outcome;
  }
  const expired = expire(before, outcome.overdue, command);
  const after = play(expired.state, command, found);
  return { ...after, journal: joined(expired.journal, after.journal) };
}

export function joined(left: Journal, right: Journal): Journal {
  return {
    movements: [...left.movements, ...right.movements],
    audit: [...left.audit, ...right.audit],
    history: [...left.history, ...right.history],
  };
}

/** Once for each idempotency key: a success is kept with it, a failure is not. */
function carryOut(turn: Turn): Answer {
  const { action, by, key } = turn.command;
  if (by.role !== 'admin' && FOR_ADMINS.includes(action.do)) {
    refuse(403, 'forbidden');
  }
  assertValid(action);
  // The table has, under each name, what takes the action of that name.
  const rule = RULES[action.do as keyof typeof RULES] as (turn: Turn, action: Action) => Answer;
  const request = requestOf(action);
  if (key === undefined || request?.method !== 'post') {
    return rule(turn, action);
  }
  const scope = `${by.id} ${request.path} ${key}`;
  const body = stringify(request.body) ?? '';
  const first = turn.state.keys[scope];
  if (first && first.body !== body) {
    refuse(422, 'idempotency_key_reused');
  }
  if (first) {
    return { ...first.answer, isReplay: true };
  }
  const answer = rule(turn, action);
  turn.state.keys[scope] = { body, answer };
  return answer;
}
