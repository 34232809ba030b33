import { setTimeout as sleep } from 'node:timers/promises';
import { framesOf } from './frames';

const RETRY_MS = 1_000;
const UNAUTHENTICATED = 401;
const GONE = 410;
/** Of a service, or of a proxy in front of it, that will answer again. */
const TEMPORARY = [429, 502, 503, 504];

/** The service refuses, and would again. The message is one line. */
export class ServiceRefuses extends Error {}

/** The service is not there, or not now. The message is one line. */
export class ServiceAway extends Error {}

/** A running service, and who asks it: the bearer of a token, or else whoever logs in. */
export interface FollowedService {
  readonly url: string;
  readonly token?: string;
  readonly email: string;
  readonly password?: string;
}

export interface FollowedEvents {
  readonly types?: string;
  /** Where to begin: a cursor, or `beginning`; left out: now. */
  readonly after?: string;
}

interface Problem {
  readonly detail?: string;
  readonly oldest_cursor?: string;
}

/** Follows the stream of events of a service, whatever becomes of its processes. */
export class EventFollower {
  private token: string | undefined;
  private after: string | undefined;
  private hasConnected = false;

  /** @param say tells what the reader should know beside the events */
  constructor(
    private readonly service: FollowedService,
    private readonly wanted: FollowedEvents,
    private readonly signal: AbortSignal,
    private readonly say: (text: string) => void,
  ) {
    this.token = service.token;
    this.after = wanted.after;
  }

  /**
   * Each event once, as JSON, until the signal. Once it has been connected, it waits for a service that is away.
   * @throws ServiceRefuses, ServiceAway
   */
  async *events(): AsyncGenerator<string> {
    while (!this.signal.aborted) {
      try {
        yield* this.eventsIn(await this.open());
        this.say('The service has ended the stream; it is opened again.');
      } catch (thrown) {
        const error = asAway(thrown);
        if (this.signal.aborted) {
          return;
        }
        if (!this.hasConnected || !(error instanceof ServiceAway)) {
          throw error;
        }
        this.say(`${error.message}; trying again.`);
      }
      await sleep(RETRY_MS, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  private async *eventsIn(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
    for await (const { id, event, data } of framesOf(body)) {
      this.after = id ?? this.after;
      if (event === 'resync') {
        this.skipWhatIsGone(JSON.parse(data!) as Problem);
      } else if (data !== undefined) {
        yield data;
      }
    }
  }

  private async open(): Promise<AsyncIterable<Uint8Array>> {
    this.token ??= await this.logIn();
    const { types, after } = { ...this.wanted, after: this.after };
    const query = new URLSearchParams({ ...(types && { types }), ...(after && { after }) });
    const answer = await this.ask(`/api/events/stream?${query.toString()}`, {
      headers: { Authorization: `Bearer ${this.token}` },
    });
    if (!answer.ok) {
      this.refused(answer, await problemOf(answer));
      return this.open();
    }
    this.hasConnected = true;
    return answer.body as AsyncIterable<Uint8Array>;
  }

  /** Returns if something else can be asked at once. */
  private refused(answer: Response, problem: Problem): void {
    if (answer.status === GONE && problem.oldest_cursor !== undefined) {
      this.skipWhatIsGone(problem);
    } else if (answer.status === UNAUTHENTICATED && this.hasConnected && this.service.token === undefined) {
      this.token = undefined;
      throw new ServiceAway('The log-in has expired');
    } else {
      throw failureOf(answer, problem);
    }
  }

  private skipWhatIsGone({ oldest_cursor }: Problem): void {
    if (oldest_cursor !== undefined) {
      this.say('The next events are no longer kept; it goes on with the oldest that are.');
      this.after = oldest_cursor;
    }
  }

  private async logIn(): Promise<string> {
    const { email, password } = this.service;
    const answer = await this.ask('/api/auth/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ email, password }),
    });
    if (!answer.ok) {
      throw failureOf(answer, await problemOf(answer));
    }
    const { data } = (await answer.json()) as { data: { access_token: string } };
    return data.access_token;
  }

  private ask(path: string, request: RequestInit): Promise<Response> {
    return fetch(this.service.url + path, { ...request, signal: this.signal });
  }
}

async function problemOf(answer: Response): Promise<Problem> {
  const text = await answer.text();
  // A proxy may answer with a page.
  return answer.headers.get('content-type')?.startsWith('application/problem+json')
    ? (JSON.parse(text) as Problem)
    : {};
}

function failureOf({ status }: Response, { detail }: Problem): Error {
  const text = `The service answers ${status}${detail === undefined ? '' : `: ${detail}`}`;
  return TEMPORARY.includes(status) ? new ServiceAway(text) : new ServiceRefuses(text);
}

/** What fetch throws when a connection fails, before the answer or in its midst. */
function asAway(thrown: unknown): unknown {
  if (!(thrown instanceof TypeError) || !(thrown.cause instanceof Error)) {
    return thrown;
  }
  const { code, message } = thrown.cause as NodeJS.ErrnoException;
  return new ServiceAway(`The connection to the service fails (${code ?? message})`);
}
