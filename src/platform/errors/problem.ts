import type { FastifyReply } from 'fastify';
import type { DomainError } from './domain-errors';
import { PROBLEMS, type ProblemCode, problemType } from './problem-catalogue';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json; charset=utf-8';

declare module 'fastify' {
  interface FastifyReply {
    /** The code of the answered problem; undefined for a success. */
    problemCode?: ProblemCode;
  }
}

/** The scheme and the authority of a URL. */
const SERVER = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i;

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: ProblemCode;
  request_id: string;
}

/** The RFC 9457 body of a failure, with the members of the contract. */
export function problemBody(error: DomainError, requestId: string, path: string): ProblemBody {
  const { status, title } = PROBLEMS[error.code];
  return {
    type: problemType(error.code),
    title,
    status,
    detail: error.message,
    instance: path,
    code: error.code,
    request_id: requestId,
    ...error.members,
  };
}

/** Answers a request with a failure. */
export function sendProblem(reply: FastifyReply, error: DomainError): void {
  const { request } = reply;
  const body = problemBody(error, request.id, pathOf(request.originalUrl));
  reply.problemCode = error.code;
  void reply
    .status(body.status)
    .headers({ 'X-Request-Id': request.id, ...error.headers })
    .type(PROBLEM_MEDIA_TYPE)
    .send(JSON.stringify(body));
}

/**
 * The path as the router sees it: without scheme and authority, as in a request meant for a proxy, and without a
 * fragment, which a client may have failed to remove.
 */
function pathOf(target: string): string {
  const [path] = target.replace(SERVER, '').split(/[?#]/, 1);
  return path === '' ? '/' : path!;
}
