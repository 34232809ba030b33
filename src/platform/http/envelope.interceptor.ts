import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { map, type Observable } from 'rxjs';
import { Answer } from './answer';
import { Page } from './page';

/** Puts what a handler returns into the envelope `{ request_id, data, page? }`, and an Answer's extras into headers. */
@Injectable()
export class EnvelopeInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    return next.handle().pipe(map((result) => envelope(result, reply)));
  }
}

function envelope(result: unknown, reply: FastifyReply): unknown {
  // A page of HTML or the metrics' text: sent as it is.
  if (typeof result === 'string') {
    return result;
  }
  const request_id = reply.request.id;
  if (result instanceof Page) {
    return { request_id, data: result.items, page: { limit: result.limit, next_cursor: result.nextCursor } };
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
