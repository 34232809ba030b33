import { type EventPage, positionOfEvent } from '../feed/event-feed';
import type { EventPosition } from '../feed/event-position';
import { toEventResponse } from '../feed/events.dto';
import type { EventRow } from '../feed/feed.query';

/** An event on its way to any number of streams, whose text is made once. */
export class StreamedEvent {
  readonly position: EventPosition;
  private bytes: Buffer | undefined;

  constructor(readonly row: EventRow) {
    this.position = positionOfEvent(row);
  }

  get frame(): Buffer {
    return (this.bytes ??= Buffer.from(this.text()));
  }

  private text(): string {
    const event = toEventResponse(this.row);
    return `id: ${event.cursor}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
  }
}

export interface StreamedPage {
  readonly events: readonly StreamedEvent[];
  readonly next: EventPosition;
}

export function streamedPage({ events, next }: EventPage): StreamedPage {
  return { events: events.map((row) => new StreamedEvent(row)), next };
}
