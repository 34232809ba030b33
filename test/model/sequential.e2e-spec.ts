import fc from 'fast-check';
import { startTestApp, type TestApp } from '../support/test-app';
import { Game } from './game';
import { type Intent, intents, otherwise, resolve } from './intents';
import { report, settingsOf, timeoutOf } from './settings';
import { World } from './world';

/**
 * Random sequences of commands, by two users and an admin, against the service over HTTP and against the model, which
 * says in a few pages what Holdfast promises. After each command everything that can be seen must be the same. What fails
 * is shrunk, and printed with its seed and path.
 */
const SETTINGS = settingsOf({ numRuns: 15, seed: 20264 });

const COMMANDS = intents({
  reserve: 12,
  commit: 7,
  cancel: 4,
  extend: 6,
  'order reservation': 5,
  'order items': 6,
  'change status': 14,
  adjust: 4,
  transfer: 3,
  'create product': 1,
  'change product': 2,
  'create warehouse': 1,
  'change warehouse': 2,
  read: 2,
  'let time pass': 8,
  sweep: 1,
});

/** What MAIN, a warehouse before it and one after it have of two products. */
const STOCK = [
  [5, 2, undefined],
  [2, undefined, 4],
];

type Model = fc.AsyncCommand<Game, Game>;

/** Something that one of them does, if there is something to do it to. */
class Do implements Model {
  constructor(private readonly intent: Intent) {}

  check(game: Readonly<Game>): boolean {
    return resolve(this.intent, game.state, game.world) !== undefined;
  }

  async run(game: Game): Promise<void> {
    const { by, action, key } = resolve(this.intent, game.state, game.world)!;
    await game.act(game.world.command(by, action, key));
  }

  toString(): string {
    return JSON.stringify(this.intent);
  }
}

/** A request with an idempotency key that was sent before, once more; or another body under its key. */
class Again implements Model {
  constructor(
    private readonly nth: number,
    private readonly isOther: boolean,
  ) {}

  check(game: Readonly<Game>): boolean {
    return game.keyed.length > 0;
  }

  async run(game: Game): Promise<void> {
    const { by, action, key } = game.keyed[this.nth % game.keyed.length]!;
    await game.act(game.world.command(by, this.isOther ? otherwise(action) : action, key));
  }

  toString(): string {
    return `again(${this.nth}${this.isOther ? ', with another body' : ''})`;
  }
}

describe('Any sequence of commands', () => {
  let test: TestApp;
  beforeAll(async () => {
    test = await startTestApp();
  });
  afterAll(() => test.close());

  it(
    'does what the model says',
    async () => {
      const again = fc.tuple(fc.nat(20), fc.boolean()).map(([nth, isOther]): Model => new Again(nth, isOther));
      const some = COMMANDS.map((intent): Model => new Do(intent));
      const commands = fc.commands([some, some, some, some, some, some, again], { maxCommands: 60, size: 'max' });
      const answers: Record<string, number> = {};
      await fc.assert(
        fc.asyncProperty(commands, async (steps) => {
          const game = await Game.begin(new World([test]));
          await game.world.stockUp(STOCK, Object.keys(game.state.warehouses), (command) => game.act(command));
          await fc.asyncModelRun(() => ({ model: game, real: game }), steps);
          await game.end();
          for (const answer of game.answers) {
            answers[answer] = (answers[answer] ?? 0) + 1;
          }
        }),
        SETTINGS,
      );
      report(answers);
    },
    timeoutOf(SETTINGS),
  );
});
