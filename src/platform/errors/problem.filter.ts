import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { databaseFailureOf } from '../database/database-errors';
import { log } from '../logging/logger';
import {
  DatabaseUnavailable,
  DomainError,
  MalformedJson,
  NotFound,
  Overloaded,
  PayloadTooLarge,
  UnsupportedMediaType,
} from './domain-errors';
import { sendProblem } from './problem';

/** The answer to an unexpected error; the details are in the log under the request id. */
class InternalError extends DomainError {
  readonly code = 'internal_error';

  constructor() {
    super('An unexpected error occurred; the log has the details under this request_id');
  }
}

/** The only place where errors become answers. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (reply.sent) {
      return;
    }
    const error = toDomainError(thrown);
    logFault(error, thrown, reply.request.id);
    sendProblem(reply, error);
  }
}

/** Logs what the answer leaves out, under the request id that the caller gets. */
function logFault(error: DomainError, thrown: unknown, requestId: string): void {
  const { code, cause } = error;
  if (code === 'internal_error') {
    log.error({ err: cause ?? thrown, request_id: requestId }, 'request failed');
  } else if (code === 'outcome_unknown') {
    // The audit log has rows with this request id if it took effect.
    log.error({ err: cause, request_id: requestId, code }, 'commit lost, outcome unknown');
  } else if (cause !== undefined) {
    log.warn({ err: cause, request_id: requestId, code }, 'database failed');
  }
}

/**
 * Maps Fastify's and Nest's errors by their codes, database failures by their kind, and everything else to internal.
 */
export function toDomainError(thrown: unknown): DomainError {
  if (thrown instanceof DomainError) {
    return thrown;
  }
  const database = databaseFailureOf(thrown);
  if (database) {
    return database === 'unavailable' ? new DatabaseUnavailable(thrown) : new Overloaded(thrown);
  }
  return frameworkError(thrown) ?? new InternalError();
}

/** Nest wraps Fastify's errors but keeps their status, and each status corresponds to one failure of the contract. */
function frameworkError(thrown: unknown): DomainError | undefined {
  const { statusCode } = Object(thrown) as { statusCode?: number };
  const status = thrown instanceof HttpException ? Number(thrown.getStatus()) : statusCode;
  switch (status) {
    case 400:
      return new MalformedJson('The body could not be read to its end');
    // A path that tries to escape the folder of static files.
    case 403:
    case 404:
    case 414:
      return new NotFound('such path');
    case 413:
      return new PayloadTooLarge('The body is larger than the service accepts');
    case 415:
      return new UnsupportedMediaType('The body must be sent as application/json');
    default:
      return undefined;
  }
}
