import { DatabaseError } from 'pg';
import { QueryFailedError } from 'typeorm';
import { type DatabaseFailure, databaseFailureOf } from './database-errors';

/** What PostgreSQL sends: its SQLSTATE, and the function in which it happened. */
function failureOf(code: string, routine?: string): DatabaseFailure | undefined {
  const error = Object.assign(new DatabaseError('in any language', 0, 'error'), { code, routine });
  return databaseFailureOf(new QueryFailedError('SELECT', undefined, error));
}

describe('An internal error of the database', () => {
  it('is one of ours, as a rule', () => {
    expect([failureOf('XX000'), failureOf('XX000', 'heap_update')]).toEqual([undefined, undefined]);
  });

  it.each(['ReportResultError', 'ReportConnectionError', 'MarkRemoteTransactionFailed'])(
    'means that a node behind it is away if it comes from %s of Citus',
    (routine) => {
      expect(failureOf('XX000', routine)).toBe('unavailable');
    },
  );

  it('is no other error that such a node has sent, which keeps its own SQLSTATE', () => {
    const codes = ['08006', '40P01', '55P03', '23505'];
    const failures = codes.map((code) => failureOf(code, 'ReportResultError'));
    expect(failures).toEqual(['unavailable', 'retryable', 'busy', undefined]);
  });
});
