import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Gauge } from 'prom-client';
import { Overloaded } from '../../platform/errors/domain-errors';
import { observeAnswer } from '../../platform/http/observe-requests';
import { Metrics } from '../../platform/metrics/metrics';
import { EventFeed } from '../feed/event-feed';
import { positionOf } from '../feed/event-position';
import { EventStream, HEARTBEAT_MS, type StreamRequest } from './event-stream';
import { EVENTS_AT_ONCE, EventTail } from './event-tail';
import { streamedPage } from './streamed-event';

const MOST_STREAMS = 200;
/** How long readers may take, when the process stops, to take what is left of their streams. */
const LAST_BYTES_MS = 1_000;
/** A longer time would make a timer run at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface WantedStream extends Omit<StreamRequest, 'position'> {
  /** A cursor, or `beginning`; left out: from now on. */
  readonly after?: string;
  /** How long the caller may see it. */
  readonly expiresInMs: number;
}

interface OpenStream {
  readonly socket: Socket;
  readonly closed: Promise<void>;
}

/** The streams that this process has open. They end first when it stops. */
@Injectable()
export class EventStreams implements OnModuleDestroy {
  private readonly open = new Map<EventStream, OpenStream>();
  private isStopping = false;

  constructor(
    private readonly feed: EventFeed,
    private readonly tail: EventTail,
    private readonly metrics: Metrics,
  ) {
    const { open } = this;
    new Gauge({
      name: 'holdfast_event_streams',
      help: 'Streams of events that are open.',
      registers: [metrics.registry],
      collect() {
        this.set(open.size);
      },
    });
  }

  /**
   * Answers a request with a stream.
   * @throws InvalidCursor, CursorExpired; Overloaded if there are too many, or if the process stops
   */
  async answer(reply: FastifyReply, { after, expiresInMs, mode, filters }: WantedStream): Promise<void> {
    const end = await this.feed.end();
    const position =
      after === undefined ? end : after === 'beginning' ? await this.feed.beginning() : positionOf(after);
    const first = after === undefined ? undefined : await this.feed.read(position, filters, EVENTS_AT_ONCE);
    if (this.open.size >= MOST_STREAMS || this.isStopping) {
      throw new Overloaded();
    }
    const stream = new EventStream({ mode, filters, position }, () => reply.raw.writableLength);
    this.keep(stream, reply, expiresInMs);
    if (first) {
      stream.tell(streamedPage(first));
    }
    this.tail.follow(stream, end);
    void reply
      .headers({ 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no', Connection: 'close' })
      .type('text/event-stream; charset=utf-8')
      .send(stream.body);
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopping = true;
    const streams = [...this.open];
    streams.forEach(([stream]) => stream.end());
    await Promise.race([
      Promise.all(streams.map(([, { closed }]) => closed)),
      sleep(LAST_BYTES_MS, undefined, { ref: false }),
    ]);
    this.open.forEach(({ socket }) => socket.destroy());
  }

  private keep(stream: EventStream, reply: FastifyReply, expiresInMs: number): void {
    const { raw: request, socket } = reply.request;
    // Heartbeats keep it open, unless the reader takes none of them.
    socket.setTimeout(2 * HEARTBEAT_MS);
    const expiry = setTimeout(
      () => stream.end(': the token has expired\n\n'),
      Math.min(expiresInMs, LONGEST_TIMER_MS),
    ).unref();
    // When the answer has been sent, or the connection is lost; also if the answer waits for others before it.
    const closed = new Promise((resolve) => request.once('close', resolve)).then(() => {
      clearTimeout(expiry);
      this.tail.leave(stream);
      this.open.delete(stream);
      stream.body.destroy();
      if (!reply.raw.writableFinished) {
        observeAnswer(reply, this.metrics);
      }
    });
    this.open.set(stream, { socket, closed });
  }
}
