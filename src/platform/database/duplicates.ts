import { Duplicate } from '../errors/domain-errors';
import { isUniqueViolation } from './database-errors';

/** For `.catch()`: turns the violation of a unique constraint into `Duplicate`, and rethrows everything else. */
export function orDuplicate(constraint: string, field: string): (error: unknown) => never {
  return (error) => {
    throw isUniqueViolation(error, constraint) ? new Duplicate(field) : error;
  };
}
