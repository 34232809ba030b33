import fc from 'fast-check';
import { expectReconciled } from '../support/factories';
import { startTestApp, type TestApp } from '../support/test-app';
import { History, type Move, type Plan } from './history';
import { type Intent, intents, plain } from './intents';
import { report, settingsOf, timeoutOf } from './settings';
import { World } from './world';

/**
 * Random commands at once, for one or two products with little stock. There must be an order of them, which keeps to the
 * order of those that did not overlap, in which the model gives every answer that was seen: the service is linearizable,
 * but for what docs/architecture.md says. The plans are the same for a seed, what happens is not: a failure prints it.
 */
const SETTINGS = settingsOf({ numRuns: 60, seed: 20262 });

const BEFORE = intents({ reserve: 4, 'order items': 3, 'order reservation': 3, 'let time pass': 2, commit: 1 });

const AT_ONCE = intents({
  reserve: 9,
  'order items': 5,
  commit: 5,
  cancel: 5,
  extend: 2,
  'order reservation': 4,
  'change status': 8,
  adjust: 4,
  transfer: 3,
  read: 3,
  'let time pass': 3,
  sweep: 2,
});

/** Everybody wants the same, so that batches are not of one. */
const IN_A_RUSH = intents({ reserve: 4, 'order items': 2, commit: 2, cancel: 1 });

const roundOf = (intent: fc.Arbitrary<Intent>, most: number): fc.Arbitrary<Move[][]> => {
  const isTwice = fc.nat(5).map((dice) => dice === 0);
  const player = fc.array(plain({ intent, process: fc.nat(1), isTwice }), { minLength: 1, maxLength: 2, size: 'max' });
  return fc.array(player, { minLength: 3, maxLength: most, size: 'max' });
};
const round = fc.oneof({ weight: 2, arbitrary: roundOf(AT_ONCE, 6) }, roundOf(IN_A_RUSH, 8));
const plan: fc.Arbitrary<Plan> = plain({
  // What MAIN and two others have of each product. There are all levels, because of those that are new less is promised.
  stock: fc.array(fc.tuple(fc.nat(3), fc.nat(2), fc.nat(2)), { minLength: 1, maxLength: 2, size: 'max' }),
  before: fc.array<Intent>(BEFORE, { maxLength: 5, size: 'max' }),
  rounds: fc.array(round, { minLength: 1, maxLength: 3, size: 'max' }),
});

describe.each([1, 2])('Commands at once, in %i process(es)', (processes) => {
  let tests: TestApp[];
  beforeAll(async () => {
    const first = await startTestApp();
    tests = processes === 1 ? [first] : [first, await startTestApp({}, first.database)];
  });
  afterAll(async () => {
    for (const test of tests.toReversed()) {
      await test.close();
    }
  });

  it(
    'take effect one after the other',
    async () => {
      const from = await new World(tests).warehouses(50, 200);
      const counts = { histories: 0, rounds: 0, commands: 0, refusedAsBusy: 0, mostStates: 0 };
      await fc.assert(
        fc.asyncProperty(plan, async (one) => {
          const history = await History.make(new World(tests), from, one);
          await history.expectWritten();
          counts.histories += 1;
          counts.rounds += one.rounds.length;
          counts.commands += history.counts.commands;
          counts.refusedAsBusy += history.counts.refusedAsBusy;
          counts.mostStates = Math.max(counts.mostStates, history.counts.mostStates);
        }),
        SETTINGS,
      );
      await expectReconciled(tests[0]!);
      report({ processes, ...counts });
    },
    timeoutOf(SETTINGS),
  );
});
