import type { EntityTarget, ObjectLiteral } from 'typeorm';
import { insertRows } from './insert-rows';
import type { Tx } from './tx';

/** A statement and its parameters. */
export interface Statement {
  readonly sql: string;
  readonly values: unknown[];
}

/**
 * A transaction, and what it has yet to write. What nobody reads inside the transaction is queued here, and sent when the
 * work is done, with COMMIT behind it in the same round trip.
 */
export class UnitOfWork {
  /** Finds a row if and only if this transaction has committed: for who has lost the connection during COMMIT. */
  proof: Statement | undefined;
  private readonly statements: Statement[] = [];
  private readonly rows = new Map<EntityTarget<ObjectLiteral>, ObjectLiteral[]>();
  private readonly effects: (() => void)[] = [];

  constructor(readonly tx: Tx) {}

  /** Queues a statement that changes rows. */
  execute(sql: string, values: unknown[]): void {
    this.statements.push({ sql, values });
  }

  /** Queues rows. Those of one table are inserted together, whoever queued them, with the columns of the first. */
  insert<Row extends ObjectLiteral>(entity: EntityTarget<Row>, rows: readonly Partial<Row>[]): void {
    const queued = this.rows.get(entity) ?? [];
    this.rows.set(entity, queued);
    queued.push(...rows);
  }

  /** Something outside the database that happens if this transaction commits, and only then: counting, mostly. */
  afterCommit(effect: () => void): void {
    this.effects.push(effect);
  }

  /** Sends what is queued, without waiting: first the changes of rows, in their order, then the new rows. */
  flush(): Promise<unknown>[] {
    const changes = this.statements.map(({ sql, values }) => this.tx.query(sql, values));
    return [...changes, insertRows(this.tx, ...this.rows)];
  }

  /** For the runner of transactions, when COMMIT has succeeded. */
  committed(): void {
    this.effects.forEach((effect) => effect());
  }
}
