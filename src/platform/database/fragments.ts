import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { type EntityManager, getMetadataArgsStorage } from 'typeorm';
import { toSnakeCase } from './typeorm-options';

/** Runs a statement that is put together of fragments, and gives its rows. */
export function queryRows<Row>(manager: EntityManager, statement: Sql): Promise<Row[]> {
  return manager.query<Row[]>(statement.text, statement.values);
}

/** All of the conditions, or nothing if there are none. */
export function where(conditions: readonly Sql[]): Sql {
  return conditions.length > 0 ? sql`WHERE ${join(conditions, ' AND ')}` : empty;
}

/** The columns of an entity's table, each called as its property. */
export function columnsOf(entity: new () => object): Sql {
  const columns = getMetadataArgsStorage().filterColumns(entity);
  return raw(columns.map(({ propertyName }) => `${toSnakeCase(propertyName)} AS "${propertyName}"`).join(', '));
}
