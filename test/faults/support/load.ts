import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../support/race';
import { unique } from '../../support/test-app';
import { Caller, nameOf, type Outcome, type Request } from './caller';
import { type Service, tokenOf } from './service';

const RETRY_PAUSE_MS = 100;
/** So often a command is asked again before its client calls it lost. */
const MAX_TRIES = 600;
export const SCARCE_PIECES = 20;
const PLENTY_PIECES = 100_000;

export type Kind = 'reserve' | 'order' | 'commit' | 'cancel' | 'adjust';

/** Something that a client wants to happen once, however often it has to ask. */
export interface Command extends Request {
  readonly kind: Kind;
  readonly key: string;
  readonly caller: Caller;
  readonly tries: Outcome[];
}

/** What tells a client to ask again with the same key: nothing else may come between it and its answer. */
const TEMPORARY = [
  ...['cut', '503 overloaded', '503 database_unavailable', '409 idempotency_in_progress', '500 outcome_unknown'],
];

export function answerOf({ tries }: Command): Outcome {
  return tries.at(-1)!;
}

export function isDone(command: Command): boolean {
  return [200, 201].includes(answerOf(command).status as number);
}

/** Clients that reserve, order, commit, cancel and deliver at one service or several, each command under a key of its own. */
export class Load {
  readonly commands: Command[] = [];
  private readonly clients: Promise<void>[] = [];
  private isOver = false;
  private isAbandoned = false;
  private answered = 0;

  private constructor(
    private readonly services: readonly Service[],
    private readonly admin: Caller,
    readonly plenty: string,
    readonly scarce: string,
  ) {}

  /** With products of its own: one of which there is enough for all, and one of which there is not. */
  static async at(...services: Service[]): Promise<Load> {
    const admin = services[0]!.as('admin');
    const product = async (pieces: number): Promise<string> => {
      const body = { sku: unique('SKU'), name: 'Blue mug', price: '19.90', initial_stock: pieces };
      return (await admin.ask({ path: '/api/products', body })).body.data.id;
    };
    return new Load(services, admin, await product(PLENTY_PIECES), await product(SCARCE_PIECES));
  }

  get initialPieces(): number {
    return PLENTY_PIECES + SCARCE_PIECES;
  }

  start(clients: number): void {
    for (let index = 0; index < clients; index += 1) {
      this.clients.push(this.runClient(this.callerAt(index)));
    }
  }

  /** Returns when so many more commands have been answered. Counts from now. */
  async goesOn(commands = 100): Promise<void> {
    const before = this.answered;
    await until(async () => this.answered >= before + commands, `${commands} more commands are answered`, 60);
  }

  /** Lets every client ask until it has the answer to its last command. */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.clients);
  }

  /** For a test that has failed: nobody asks any more. */
  abandon(): void {
    this.isOver = this.isAbandoned = true;
    void Promise.allSettled(this.clients);
  }

  /** The longest that anybody waited for an answer or for the end of a connection. */
  get slowestMs(): number {
    return Math.max(...this.outcomes.map(({ ms }) => ms));
  }

  get outcomes(): Outcome[] {
    return this.commands.flatMap(({ tries }) => tries);
  }

  /** A client stays one user; where there are several services, it goes to the next one with each request. */
  private callerAt(index: number): Caller {
    let turn = index;
    return new Caller(() => this.services[(turn += 1) % this.services.length]!.url, tokenOf('user'));
  }

  private async runClient(caller: Caller): Promise<void> {
    for (let round = 0; !this.isOver; round += 1) {
      const line = { product_id: round % 5 === 4 ? this.scarce : this.plenty, quantity: 1 };
      if (round % 4 === 3) {
        await this.perform({ kind: 'order', path: '/api/orders', body: { items: [line] }, caller });
        const path = `/api/products/${this.plenty}/stock-adjustments`;
        await this.perform({ kind: 'adjust', path, body: { delta: 1, reason: 'delivery' }, caller: this.admin });
        continue;
      }
      const held = await this.perform({ kind: 'reserve', path: '/api/reservations', body: line, caller });
      const end = (['commit', 'cancel', undefined] as const)[round % 3];
      if (held.status === 201 && end) {
        const path = `/api/reservations/${held.body.data.id}/${end}`;
        await this.perform({ kind: end, path, method: 'POST', caller });
      }
    }
  }

  /** Asks until there is an answer that is not only for now. */
  private async perform(request: Omit<Command, 'key' | 'tries'>): Promise<Outcome> {
    const command: Command = { ...request, key: randomUUID(), tries: [] };
    this.commands.push(command);
    while (command.tries.length < MAX_TRIES && !this.isAbandoned) {
      const outcome = await command.caller.ask(command);
      command.tries.push(outcome);
      if (!isTemporary(outcome)) {
        this.answered += 1;
        return outcome;
      }
      await pause(RETRY_PAUSE_MS);
    }
    throw new Error(`${command.kind} was asked ${command.tries.length} times in vain`);
  }
}

export function isTemporary(outcome: Outcome): boolean {
  return TEMPORARY.includes(nameOf(outcome));
}
