import type { EntityManager, EntityTarget, ObjectLiteral } from 'typeorm';
import { prepared } from './prepared';

/** Rows of one table. Columns that the first row lacks get their defaults. */
export type TableRows<Row extends ObjectLiteral = ObjectLiteral> = readonly [
  EntityTarget<Row>,
  readonly Partial<Row>[],
];

/**
 * Inserts any number of rows into several tables in one statement, with one parameter for each table. Foreign keys
 * between these tables would work: they are checked at the end of the statement.
 */
export async function insertRows(manager: EntityManager, ...tables: TableRows[]): Promise<void> {
  const full = tables.filter(([, rows]) => rows.length > 0);
  const inserts = full.map(([entity, rows], index) => insertOf(manager, entity, rows[0]!, `$${index + 1}`));
  const last = inserts.pop();
  if (last) {
    const others = inserts.map(({ sql }, index) => `inserted_${index} AS (${sql})`).join(', ');
    const values = full.map(([, rows], index) => JSON.stringify(rows.map((inserts[index] ?? last).toRecord)));
    await manager.query(prepared(others === '' ? last.sql : `WITH ${others} ${last.sql}`), values);
  }
}

interface Insert {
  readonly sql: string;
  /** Turns a row into an element of the JSON array that is the statement's parameter. */
  readonly toRecord: (row: ObjectLiteral) => ObjectLiteral;
}

/** The statement that inserts rows with the columns of the first. @param rows the placeholder for them, such as `$1` */
function insertOf(manager: EntityManager, entity: EntityTarget<ObjectLiteral>, first: object, rows: string): Insert {
  const { tableName, columns } = manager.connection.getMetadata(entity);
  const given = columns.filter(({ propertyName }) => propertyName in first);
  const names = given.map(({ databaseName }) => databaseName).join(', ');
  return {
    sql: `INSERT INTO ${tableName} (${names}) SELECT ${names} FROM json_populate_recordset(NULL::${tableName}, ${rows})`,
    toRecord: (row) => {
      const record: ObjectLiteral = {};
      for (const { databaseName, propertyName } of given) {
        record[databaseName] = row[propertyName] as unknown;
      }
      return record;
    },
  };
}
