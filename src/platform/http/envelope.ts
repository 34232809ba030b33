import type { FastifyInstance, FastifyReply } from 'fastify';
import { Answer } from './answer';
import { Page } from './page';

/**
 * Wraps what handlers return in the envelope `{ request_id, data, page? }`, and writes an Answer's extras into headers.
 * Text answers (problem documents, metrics) do not pass through here.
 */
export function wrapAnswers(server: FastifyInstance): void {
  server.addHook('preSerialization', (_request, reply, result, done) => done(null, envelope(result, reply)));
}

function envelope(result: unknown, reply: FastifyReply): object {
  const request_id = reply.request.id;
  if (result instanceof Page) {
    const { items, limit, nextCursor: next_cursor, estimatedCount: estimated_count } = result;
    return { request_id, data: items, page: { limit, next_cursor, estimated_count } };
  }
  if (!(result instanceof Answer)) {
    return { request_id, data: result };
  }
  const { location, version, isReplay } = result.extras;
  const data: unknown = result.data;
  if (location !== undefined) {
    void reply.header('Location', location);
  }
  if (version !== undefined) {
    void reply.header('ETag', `"${version}"`);
  }
  if (isReplay) {
    void reply.header('Idempotent-Replayed', 'true');
  }
  return { request_id, data };
}
