import { sendAsWritten } from './as-written';

export interface Reply {
  readonly status: number;
  // Whatever the API answered: the tests look for themselves what is in it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any;
  readonly headers: Record<string, string>;
  readonly text: string;
}

type Headers = Record<string, string>;

/** Speaks HTTP to the application as one caller. */
export class Api {
  constructor(
    private readonly url: string,
    private readonly caller?: { id: string; token: string },
  ) {}

  /** The id of the caller's user. */
  get userId(): string {
    return this.caller!.id;
  }

  get token(): string {
    return this.caller!.token;
  }

  /** The same caller, at another process. */
  at(url: string): Api {
    return new Api(url, this.caller);
  }

  get(path: string, headers: Headers = {}): Promise<Reply> {
    return this.send('get', path, undefined, headers);
  }

  post(path: string, body?: unknown, headers: Headers = {}): Promise<Reply> {
    return this.send('post', path, body, headers);
  }

  patch(path: string, body?: unknown, headers: Headers = {}): Promise<Reply> {
    return this.send('patch', path, body, headers);
  }

  async send(
    method: 'get' | 'post' | 'patch' | 'put' | 'delete' | 'options',
    path: string,
    body?: unknown,
    headers: Headers = {},
  ): Promise<Reply> {
    const authorization = this.caller && { Authorization: `Bearer ${this.caller.token}` };
    const { pathname, search } = new URL(this.url + path);
    return sendAsWritten(this.url, {
      method: method.toUpperCase(),
      path: pathname + search,
      headers: { ...authorization, ...headers },
      body,
    });
  }
}
