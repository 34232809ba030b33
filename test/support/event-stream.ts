import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { until } from './race';
import { EventJobs } from '../../src/events/event-jobs';
import type { TestApp } from './test-app';

/** A frame of Server-Sent Events; what it does not have is undefined. */
export interface Frame {
  readonly comment?: string;
  readonly id?: string;
  readonly event?: string;
  // Whatever was sent: the tests look for themselves what is in it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly data?: any;
}

/** A reader of an event stream. */
export class EventReader {
  /** What has been read, in its order. */
  readonly frames: Frame[] = [];
  /** Whether the answer has ended, or its connection was cut. */
  hasEnded = false;
  private rest = '';

  private constructor(
    private readonly sent: ClientRequest,
    readonly answer: IncomingMessage,
  ) {
    answer.on('error', () => undefined).on('close', () => (this.hasEnded = true));
  }

  /** Opens a stream, as an administrator, and begins to read. */
  static async open({ url, admin }: TestApp, query = '', headers: Record<string, string> = {}): Promise<EventReader> {
    const authorized = { Authorization: `Bearer ${admin.token}`, ...headers };
    const reader = await EventReader.openUnread(`${url}/api/events/stream${query}`, authorized);
    reader.read();
    await until(async () => reader.frames.length > 0, 'the stream begins');
    return reader;
  }

  /** Opens a stream and reads nothing of it, but its head. */
  static async openUnread(url: string, headers: Record<string, string>): Promise<EventReader> {
    const sent = request(url, { agent: false, headers });
    sent.on('error', () => undefined).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return new EventReader(sent, answer);
  }

  read(): void {
    this.answer.setEncoding('utf8').on('data', (text: string) => this.take(text));
  }

  /** The frames that are events, or digests. */
  get told(): Frame[] {
    return this.frames.filter(({ data }) => data !== undefined);
  }

  get lastId(): string {
    return this.frames.findLast(({ id }) => id !== undefined)!.id!;
  }

  /** Waits until it has been told so much. */
  async hasTold(number: number): Promise<Frame[]> {
    // Megabytes take their time on a busy machine.
    await until(async () => this.told.length >= number, `the stream has told ${number}`, 30);
    return this.told;
  }

  async end(): Promise<void> {
    await until(async () => this.hasEnded, 'the stream ends');
  }

  /** Cuts its connection. */
  close(): void {
    this.sent.destroy();
  }

  private take(text: string): void {
    const blocks = (this.rest + text).split('\n\n');
    this.rest = blocks.pop()!;
    this.frames.push(...blocks.map(frameOf));
  }
}

function frameOf(block: string): Frame {
  const fields = block.split('\n').map((line) => /^(\w*): ?(.*)$/.exec(line)!.slice(1) as [string, string]);
  const { '': comment, id, event, data } = Object.fromEntries(fields);
  return { comment, id, event, data: data && JSON.parse(data) };
}

/** Starts the jobs that make the feed and the streams go on. */
export function startEventJobs(test: TestApp): TestApp {
  test.app.get(EventJobs, { strict: false }).start();
  return test;
}

export async function metricOf({ anonymous }: TestApp, name: string): Promise<number> {
  const { text } = await anonymous.get('/metrics');
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length),
  );
}

export function untilOpen(test: TestApp, streams: number): Promise<void> {
  return until(async () => (await metricOf(test, 'holdfast_event_streams')) === streams, `${streams} streams are open`);
}

/** Commits so many events that nobody else makes, each of an order of its own, with so many bytes. */
export async function happen({ database }: Pick<TestApp, 'database'>, count: number, bytes = 0): Promise<string[]> {
  const rows = await database.query<{ id: string }>(HAPPEN, [count, bytes]);
  return rows.map(({ id }) => id);
}

const HAPPEN = `
  INSERT INTO audit_logs (id, actor, action, object_type, object_id, new_value, request_id)
  SELECT id, 'system:test', 'order.created', 'order', gen_random_uuid(), jsonb_build_object('text', repeat('x', $2)), id
  FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, $1::int)) AS ids RETURNING id`;

/** The same, and waits until they are in the feed. */
export async function happened(test: TestApp, count: number): Promise<string[]> {
  const begin = (await test.admin.get('/api/events')).body.page.next_cursor as string;
  const ids = await happen(test, count);
  const last = async (): Promise<boolean> => (await listed(test, begin)).some(({ id }) => id === ids.at(-1));
  await until(last, 'they are in the feed');
  return ids;
}

export interface ListedEvent {
  readonly id: string;
  readonly type: string;
  readonly cursor: string;
}

/** All events after a cursor, as the list has them. */
export async function listed({ admin }: TestApp, after: string, filters = ''): Promise<ListedEvent[]> {
  const events: ListedEvent[] = [];
  for (let [cursor, count] = [after, 1]; count > 0;) {
    const { body } = await admin.get(`/api/events?limit=1000&after=${cursor}${filters}`);
    [cursor, count] = [body.page.next_cursor, body.data.length];
    events.push(...body.data);
  }
  return events;
}

export const idsOf = (frames: Frame[]): string[] => frames.map(({ data }) => data.id);
