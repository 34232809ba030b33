import type { LoggerService } from '@nestjs/common';
import { pino, stdSerializers } from 'pino';
import type { ContextStore } from '../context/request-context';
import { ClsServiceManager } from 'nestjs-cls';
import { actorName } from '../security/actor';

/** Contexts in which Nest reports every module and route at start: only useful for debugging. */
const STARTUP_CONTEXTS = new Set([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
]);

const NOTHING = {};

/**
 * The fields of an error that are logged. Never all: TypeORM's errors contain the statement's parameters, and
 * PostgreSQL's the whole refused row, with password hash, email and answer.
 */
const LOGGED_ERROR_FIELDS = ['type', 'message', 'stack', 'code', 'query', 'table', 'constraint', 'severity'];

/** JSON lines on standard output, each with the request id and the actor of the current context. */
export const log = pino(
  {
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: describeError },
    formatters: { level: (label) => ({ level: label }) },
    // A line with its own request id needs no context.
    mixin: (line) => ('request_id' in line ? NOTHING : contextFields()),
    // The fields of a line win over those of its context.
    mixinMergeStrategy: (line, context) => (context === NOTHING ? line : { ...context, ...line }),
  },
  pino.destination({ dest: 1, sync: false }),
);

/** Nest's own messages in the same log. */
export class NestLogger implements LoggerService {
  log(message: unknown, context?: string): void {
    const level = context !== undefined && STARTUP_CONTEXTS.has(context) ? 'debug' : 'info';
    log[level]({ context }, String(message));
  }

  error(message: unknown, ...rest: unknown[]): void {
    log.error({ err: message instanceof Error ? message : undefined, context: rest.at(-1) }, String(message));
  }

  warn(message: unknown, context?: string): void {
    log.warn({ context }, String(message));
  }

  debug(message: unknown, context?: string): void {
    log.debug({ context }, String(message));
  }

  verbose(message: unknown, context?: string): void {
    log.trace({ context }, String(message));
  }
}

function contextFields(): object {
  const cls = ClsServiceManager.getClsService<ContextStore>();
  if (!cls.isActive()) {
    return {};
  }
  const { requestId, actor } = cls.get();
  return { request_id: requestId, actor: actor && actorName(actor) };
}

function describeError(error: unknown): unknown {
  const all: unknown = stdSerializers.err(error as Error);
  if (typeof all !== 'object' || all === null) {
    return all;
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => LOGGED_ERROR_FIELDS.includes(name)));
}
