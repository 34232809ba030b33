import { Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { CursorExpired } from '../../platform/errors/cursor-errors';
import { Metrics } from '../../platform/metrics/metrics';
import { EventJobs } from '../event-jobs';
import { EventFeed } from '../feed/event-feed';
import { type EventPosition, isBefore } from '../feed/event-position';
import type { EventFilters } from '../feed/feed.query';
import type { EventStream, Resync } from './event-stream';
import { type StreamedPage, streamedPage } from './streamed-event';

const PAUSE_MS = 100;
const REASONS: readonly Resync['reason'][] = ['lagging', 'cursor_expired'];
export const EVENTS_AT_ONCE = 200;

/**
 * Reads new events once for all streams of this process. A stream that resumes further back is read for on its own until it
 * has come as far. Without streams nothing is read; while the database fails, the streams wait.
 */
@Injectable()
export class EventTail {
  private readonly streams = new Set<EventStream>();
  private readonly cuts: Counter;
  /** Up to where new events have been handed out; undefined without streams. */
  private position: EventPosition | undefined;

  constructor(
    private readonly feed: EventFeed,
    jobs: EventJobs,
    { registry }: Metrics,
  ) {
    this.cuts = new Counter({
      name: 'holdfast_event_stream_cuts_total',
      help: `Streams of events whose readers were told to begin anew: ${REASONS.join(', ')}.`,
      labelNames: ['reason'],
      registers: [registry],
    });
    REASONS.forEach((reason) => this.cuts.inc({ reason }, 0));
    jobs.add('event-tail', PAUSE_MS, () => this.handOut());
    jobs.add('event-catch-up', PAUSE_MS, () => this.catchUp());
  }

  /** @param end where the feed ended just now: a first stream is told of what comes after it */
  follow(stream: EventStream, end: EventPosition): void {
    this.position ??= end;
    this.streams.add(stream);
  }

  leave(stream: EventStream): void {
    this.streams.delete(stream);
    if (this.streams.size === 0) {
      this.position = undefined;
    }
  }

  private async handOut(): Promise<boolean> {
    return this.position !== undefined && this.handOutAfter(this.position, await this.feed.end());
  }

  /** Gives new events to the streams that have been told all before them. */
  private async handOutAfter(from: EventPosition, end: EventPosition): Promise<boolean> {
    if (!isBefore(from, end)) {
      return false;
    }
    const read = await this.read(from);
    // All streams may have left meanwhile, and others come.
    if (this.position !== from) {
      return true;
    }
    for (const stream of this.streams) {
      if (stream.isOpen && !isBefore(stream.position, from)) {
        this.give(stream, stream.isLagging ? { reason: 'lagging' } : read);
      }
    }
    this.position = 'reason' in read ? end : read.next;
    return isBefore(this.position, end);
  }

  /** Gives the next events to each stream that is behind, and whose reader has taken those before them. */
  private async catchUp(): Promise<boolean> {
    const behind = [...this.streams].filter((stream) => this.isBehind(stream) && stream.isReadyForMore);
    for (const stream of behind) {
      this.give(stream, await this.read(stream.position, stream.filters));
    }
    return behind.length > 0;
  }

  private isBehind(stream: EventStream): boolean {
    return stream.isOpen && this.position !== undefined && isBefore(stream.position, this.position);
  }

  private async read(after: EventPosition, filters: EventFilters = {}): Promise<StreamedPage | Resync> {
    try {
      return streamedPage(await this.feed.read(after, filters, EVENTS_AT_ONCE));
    } catch (error) {
      if (error instanceof CursorExpired) {
        return { reason: error.code, ...error.members };
      }
      throw error;
    }
  }

  private give(stream: EventStream, read: StreamedPage | Resync): void {
    if ('reason' in read) {
      stream.resync(read);
      this.cuts.inc({ reason: read.reason });
    } else {
      stream.tell(read);
    }
  }
}
