import { DatabaseError } from 'pg';
import { QueryFailedError, QueryRunnerAlreadyReleasedError, QueryRunnerProviderAlreadyReleasedError } from 'typeorm';

/** Deadlock and serialization failure: the same work may succeed in a new transaction. */
const RETRYABLE = new Set(['40001', '40P01']);
/** Lock timeout, statement timeout, disk, memory and connection limits. */
const BUSY = new Set(['55P03', '57014', '53100', '53200', '53300', '53400']);
/** The server is shutting down or starting up, or is a standby that cannot write. */
const GONE = new Set(['57P01', '57P02', '57P03', '57P05', '25006']);
const CONNECTION_CLASS = '08';
/**
 * Also of class 08. As an ERROR it means that our statement was wrong; PgBouncer closes connections with it as FATAL.
 */
const PROTOCOL_VIOLATION = '08P01';
const INTERNAL_ERROR = 'XX000';
/**
 * The functions with which Citus reports a broken connection to another node. It has no SQLSTATE for that and sends
 * XX000, which from anywhere else is a bug. Function names are neither translated nor reworded.
 */
const OTHER_NODE_FAILURES = new Set(['ReportResultError', 'ReportConnectionError', 'MarkRemoteTransactionFailed']);
const LOCK_TIMEOUT = '55P03';
const UNIQUE_VIOLATION = '23505';

export type DatabaseFailure = 'retryable' | 'busy' | 'unavailable';

/** The kind of database failure that an error is; undefined if the database did not cause it. */
export function databaseFailureOf(error: unknown): DatabaseFailure | undefined {
  // The runner was released while in use: its connection broke between two statements.
  if (error instanceof QueryRunnerAlreadyReleasedError || error instanceof QueryRunnerProviderAlreadyReleasedError) {
    return 'unavailable';
  }
  if (!isQueryFailure(error)) {
    return undefined;
  }
  const state = sqlStateOf(error);
  if (state === undefined) {
    return 'unavailable';
  }
  if (RETRYABLE.has(state)) {
    return 'retryable';
  }
  if (BUSY.has(state)) {
    return 'busy';
  }
  return isGone(error.driverError as DatabaseError) ? 'unavailable' : undefined;
}

/** Whether the server is unavailable, or has lost its connection to us or to another node. */
function isGone({ code = '', routine = '', severity }: DatabaseError): boolean {
  const isConnectionLost = code.startsWith(CONNECTION_CLASS) && (code !== PROTOCOL_VIOLATION || severity === 'FATAL');
  const isOtherNodeLost = code === INTERNAL_ERROR && OTHER_NODE_FAILURES.has(routine);
  return GONE.has(code) || isConnectionLost || isOtherNodeLost;
}

export function isLockTimeout(error: unknown): boolean {
  return isQueryFailure(error) && sqlStateOf(error) === LOCK_TIMEOUT;
}

export function isUniqueViolation(error: unknown, constraint: string): boolean {
  if (!isQueryFailure(error) || !(error.driverError instanceof DatabaseError)) {
    return false;
  }
  return error.driverError.code === UNIQUE_VIOLATION && error.driverError.constraint === constraint;
}

function isQueryFailure(error: unknown): error is QueryFailedError<Error> {
  return error instanceof QueryFailedError;
}

/** The server's SQLSTATE; undefined for an error that the server did not send, which means that the connection broke. */
function sqlStateOf(error: QueryFailedError<Error>): string | undefined {
  return error.driverError instanceof DatabaseError ? error.driverError.code : undefined;
}
