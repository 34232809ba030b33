import sql, { empty, join, raw, type Sql } from 'sql-template-tag';
import { type EntityManager, getMetadataArgsStorage } from 'typeorm';
import { toSnakeCase } from './typeorm-options';

/** Runs a statement built from fragments, and returns its rows. */
export function queryRows<Row>(manager: EntityManager, statement: Sql): Promise<Row[]> {
  return manager.query<Row[]>(statement.text, statement.values);
}

/** A WHERE clause with all conditions, or nothing if there are none. */
export function where(conditions: readonly Sql[]): Sql {
  return conditions.length > 0 ? sql`WHERE ${join(conditions, ' AND ')}` : empty;
}

/** The columns of an entity's table, each with its property's name as alias. */
export function columnsOf(entity: new () => object): Sql {
  const columns = getMetadataArgsStorage().filterColumns(entity);
  return raw(columns.map(({ propertyName }) => `${toSnakeCase(propertyName)} AS "${propertyName}"`).join(', '));
}
