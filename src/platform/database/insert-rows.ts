import type { EntityManager, EntityTarget, ObjectLiteral } from 'typeorm';
import { prepared } from './prepared';

/** Rows of one table. Columns that the first row does not name get their defaults. */
export type TableRows<Row extends ObjectLiteral = ObjectLiteral> = readonly [
  EntityTarget<Row>,
  readonly Partial<Row>[],
];

/**
 * Inserts any number of rows into some tables in one statement, which has one parameter for each table however many
 * rows there are. A foreign key from one of these tables to another would hold: it is checked at the statement's end.
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
  /** A row as the statement's parameter has it: a JSON array of these. */
  readonly toRecord: (row: ObjectLiteral) => ObjectLiteral;
}

/** The statement that inserts rows like the first one. @param rows its placeholder for them, such as `$1` */
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
