import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Api, Reply } from './api';
import type { TestApp } from './test-app';

/** A request that writes, and what tells it from all others. */
export interface Asked {
  readonly who: Api;
  readonly method: 'post' | 'patch';
  readonly path: string;
  readonly body?: object;
  readonly headers: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** One request of its own id. */
export function asked(
  who: Api,
  [method, path]: readonly ['post' | 'patch', string],
  body?: object,
  headers: Record<string, string> = {},
): Asked {
  const requestId = randomUUID();
  return { who, method, path, body, requestId, headers: { 'X-Request-Id': requestId, ...headers } };
}

export function ask({ who, method, path, body, headers }: Asked): Promise<Reply> {
  return who.send(method, path, body, headers);
}

/** Sends a request whose answer nobody will read. Gives what hangs up, and returns when the service has seen that. */
export function askAndForget(test: TestApp, { who, method, path, body, headers }: Asked): () => Promise<void> {
  const sockets = new Map<number, Socket>();
  const remember = (socket: Socket): void => void sockets.set(socket.remotePort!, socket);
  const server: Server = test.app.getHttpServer();
  server.on('connection', remember);
  const authorized = { ...headers, Authorization: `Bearer ${who.token}`, 'Content-Type': 'application/json' };
  const call = request(test.url + path, { method: method.toUpperCase(), agent: false, headers: authorized });
  // That it hung up itself is no surprise to the caller.
  call.on('error', () => undefined);
  call.end(body && JSON.stringify(body));
  return async () => {
    server.off('connection', remember);
    const closed = once(sockets.get(call.socket!.localPort!)!, 'close');
    call.destroy();
    await closed;
  };
}

/** `200`, or the status and what the failure says most exactly: `409 expired`, `404 not_found`. */
export function answerOf({ status, body }: Reply): string {
  return status < 300 ? String(status) : `${status} ${body.reservation_status ?? body.code}`;
}

type Traces = Record<'audit' | 'movements' | 'history', Record<string, unknown>[]>;

/** What bears the id of one request, in the order in which it was written. */
export async function tracesOf({ database }: TestApp, { requestId }: { requestId: string }): Promise<Traces> {
  const select = (columns: string, table: string): Promise<Record<string, unknown>[]> =>
    database.query(`SELECT actor, ${columns} FROM ${table} WHERE request_id = $1 ORDER BY created_at, id`, [requestId]);
  return {
    audit: await select('action, object_id, old_value, new_value', 'audit_logs'),
    movements: await select(
      'kind, product_id, available_delta, reserved_delta, reservation_id, order_id',
      'stock_movements',
    ),
    history: await select('order_id, from_status, to_status, reason', 'order_status_changes'),
  };
}
