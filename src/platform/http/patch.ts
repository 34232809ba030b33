import { ValidationFailed } from '../errors/domain-errors';

/** The fields of a PATCH that were given. @throws ValidationFailed if none was */
export function changesIn<T extends object>(fields: T): Partial<T> {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (given.length === 0) {
    throw new ValidationFailed({ field: 'body', message: 'body must have at least one field to change' });
  }
  return Object.fromEntries(given) as Partial<T>;
}
