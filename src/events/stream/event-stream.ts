import { Readable } from 'node:stream';
import { cursorOf, type EventPosition, isBefore } from '../feed/event-position';
import type { EventFilters, EventRow } from '../feed/feed.query';
import { Digest } from './digest';
import type { StreamedPage } from './streamed-event';

export const STREAM_MODES = ['full', 'digest'] as const;
export type StreamMode = (typeof STREAM_MODES)[number];

export const HEARTBEAT_MS = 15_000;
const DIGEST_MS = 250;
const MOST_UNSENT_BYTES = 1024 * 1024;
/** A stream that catches up is given more when less than this is unsent. */
const FEW_UNSENT_BYTES = 64 * 1024;

export interface StreamRequest {
  readonly mode: StreamMode;
  readonly filters: EventFilters;
  /** Events after it are wanted. */
  readonly position: EventPosition;
}

/** Why a reader has to begin anew. */
export interface Resync {
  readonly reason: 'lagging' | 'cursor_expired';
  readonly oldest_cursor?: string;
}

/**
 * The events after a position as Server-Sent Events, each once, in the order of the feed. Comments at the beginning and at
 * each heartbeat carry the cursor, so that who has seen no event can resume too.
 */
export class EventStream {
  /** The text, in UTF-8. */
  readonly body = new Readable({ read: () => undefined });
  readonly filters: EventFilters;
  private readonly mode: StreamMode;
  private readonly heartbeat = setInterval(() => this.beat('heartbeat'), HEARTBEAT_MS).unref();
  private current: EventPosition;
  private digest: Digest | undefined;
  private digestTimer: NodeJS.Timeout | undefined;
  private hasEnded = false;

  /** @param bytesOnTheirWay how many bytes have been taken from the body, and have not yet left the process */
  constructor(
    { mode, filters, position }: StreamRequest,
    private readonly bytesOnTheirWay: () => number,
  ) {
    this.mode = mode;
    this.filters = filters;
    this.current = position;
    this.body.once('close', () => this.stop());
    this.beat('connected');
  }

  /** Everything up to here has been told. */
  get position(): EventPosition {
    return this.current;
  }

  get isOpen(): boolean {
    return !this.hasEnded;
  }

  get isLagging(): boolean {
    return this.unsentBytes > MOST_UNSENT_BYTES;
  }

  /** Whether the reader has taken about all that they were given. */
  get isReadyForMore(): boolean {
    return this.unsentBytes < FEW_UNSENT_BYTES;
  }

  /** Tells what is wanted of these events, without those that were told already. */
  tell({ events, next }: StreamedPage): void {
    if (this.hasEnded) {
      return;
    }
    const first = events.findIndex(({ position }) => isBefore(this.current, position));
    const wanted = first < 0 ? [] : events.slice(first).filter(({ row }) => matches(row, this.filters));
    if (this.mode === 'full') {
      this.write(Buffer.concat(wanted.map(({ frame }) => frame)));
    } else if (wanted.length > 0) {
      this.addToDigest(wanted.map(({ row }) => row));
    }
    this.current = isBefore(this.current, next) ? next : this.current;
  }

  /** Ends it, and says that the reader has missed something: they read anew what they show, or resume. */
  resync(why: Resync): void {
    this.end(`event: resync\ndata: ${JSON.stringify(why)}\n\n`);
  }

  /** Ends it; the reader can resume at any process. */
  end(lastWords = ''): void {
    if (!this.hasEnded) {
      this.write(lastWords);
      this.stop();
      this.body.push(null);
    }
  }

  private get unsentBytes(): number {
    return this.body.readableLength + this.bytesOnTheirWay();
  }

  private addToDigest(events: readonly EventRow[]): void {
    const digest = (this.digest ??= new Digest());
    events.forEach((event) => digest.add(event));
    this.digestTimer ??= setTimeout(() => this.tellDigest(), DIGEST_MS).unref();
  }

  private tellDigest(): void {
    if (this.digest) {
      this.write(`id: ${cursorOf(this.current)}\nevent: digest\ndata: ${JSON.stringify(this.digest.frame)}\n\n`);
    }
    clearTimeout(this.digestTimer);
    this.digest = this.digestTimer = undefined;
  }

  private beat(comment: string): void {
    // The cursor is that of all events so far, so what is not yet told of them comes first.
    this.tellDigest();
    this.write(`: ${comment}\nid: ${cursorOf(this.current)}\n\n`);
  }

  private write(text: string | Buffer): void {
    if (text.length > 0) {
      this.body.push(text);
    }
  }

  private stop(): void {
    this.hasEnded = true;
    clearInterval(this.heartbeat);
    clearTimeout(this.digestTimer);
  }
}

/** The same as the database's conditions for them. */
function matches({ action, objectType, objectId }: EventRow, filters: EventFilters): boolean {
  return (
    (filters.types === undefined || filters.types.includes(action)) &&
    (filters.objectType === undefined || filters.objectType === objectType) &&
    (filters.objectId === undefined || filters.objectId.toLowerCase() === objectId)
  );
}
