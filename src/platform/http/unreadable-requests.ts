import type { Socket } from 'node:net';
import { uuidv7 } from 'uuidv7';
import { MalformedJson, PayloadTooLarge } from '../errors/domain-errors';
import { problemBody, PROBLEM_MEDIA_TYPE } from '../errors/problem';
import type { Metrics } from '../metrics/metrics';
import { observeUnreadable } from './observe-requests';

interface ParserError extends Error {
  code?: string;
  rawPacket?: unknown;
}

/**
 * Input that Node's parser cannot read never becomes a request, so no hook and no filter sees it. It is answered here,
 * after the complete requests before it on the same connection, which is then closed.
 */
export function answerUnreadable(error: ParserError, socket: Socket, metrics: Metrics): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // Input after unreadable bytes, or after the last answer, is ignored.
  if (socket.isEnding) {
    return;
  }
  socket.isEnding = true;
  // Node would treat the end of the client's input as a hang-up, and close before the answers are sent.
  socket.removeAllListeners('end');
  const begun = socket.openAnswers?.filter(({ req }) => req.complete).at(-1);
  if (begun) {
    begun.once('close', () => refuse(socket, metrics, { reason: error.code, isHead: false }));
  } else {
    refuse(socket, metrics, { reason: error.code, isHead: startsAsHead(error.rawPacket) });
  }
}

function startsAsHead(packet: unknown): boolean {
  return Buffer.isBuffer(packet) && packet.toString('latin1', 0, 5) === 'HEAD ';
}

function refuse(socket: Socket, metrics: Metrics, { reason, isHead }: { reason?: string; isHead: boolean }): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const isTooLarge = reason === 'HPE_HEADER_OVERFLOW';
  const problem = problemBody(
    isTooLarge
      ? new PayloadTooLarge('The head of the request is larger than the service accepts')
      : new MalformedJson('The request is not well-formed HTTP, or did not arrive in time'),
    uuidv7(),
    '/',
  );
  observeUnreadable(problem, metrics, reason);
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${isTooLarge ? '413 Payload Too Large' : '400 Bad Request'}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `X-Request-Id: ${problem.request_id}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n` +
      (isHead ? '' : body),
  );
}
