import type { EntityTarget, ObjectLiteral } from 'typeorm';
import { insertRows } from './insert-rows';
import type { Tx } from './tx';

/** A statement and its parameters. */
export interface Statement {
  readonly sql: string;
  readonly values: unknown[];
}

/**
 * A transaction and its queued writes. Writes that nothing in the transaction reads are queued here, and flushed with
 * COMMIT in one round trip when the work is done.
 */
export class UnitOfWork {
  /** A query that finds a row if and only if this transaction was committed, in case COMMIT loses its connection. */
  proof: Statement | undefined;
  private readonly statements: Statement[] = [];
  private readonly rows = new Map<EntityTarget<ObjectLiteral>, ObjectLiteral[]>();
  private readonly effects: (() => void)[] = [];

  constructor(readonly tx: Tx) {}

  /** Queues a statement that changes rows. */
  execute(sql: string, values: unknown[]): void {
    this.statements.push({ sql, values });
  }

  /** Queues rows. All rows of one table are inserted together, with the columns of the first. */
  insert<Row extends ObjectLiteral>(entity: EntityTarget<Row>, rows: readonly Partial<Row>[]): void {
    const queued = this.rows.get(entity) ?? [];
    this.rows.set(entity, queued);
    queued.push(...rows);
  }

  /** An effect outside the database, mostly a counter, that runs only if this transaction commits. */
  afterCommit(effect: () => void): void {
    this.effects.push(effect);
  }

  /** Sends the queued writes without waiting: first the statements in order, then the new rows. */
  flush(): Promise<unknown>[] {
    const changes = this.statements.map(({ sql, values }) => this.tx.query(sql, values));
    return [...changes, insertRows(this.tx, ...this.rows)];
  }

  /** Called by the transaction runner when COMMIT has succeeded. */
  committed(): void {
    this.effects.forEach((effect) => effect());
  }
}
