import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What becomes of a statement on its way, and of the connection that it was sent on. */
export type Fate =
  | 'arrives'
  /** It is carried out, but instead of its answer comes the end of the connection. */
  | 'answer is lost'
  /** The client's end of the connection is cut at once; the server carries it out and knows nothing of that. */
  | 'client is cut'
  /** Another statement comes in its place, which fails; the connection stays. */
  | 'fails';

type Trapped = 'START TRANSACTION' | 'SET TRANSACTION READ WRITE' | 'COMMIT';

interface Met {
  readonly fate: Fate;
  /** Tells who set the trap. */
  readonly sprung: () => void;
}

interface Trap extends Met {
  readonly statement: string;
  readonly marker: string;
}

/** Each message tells its length; only the first of a client has no letter in front of it. */
const LENGTH_BYTES = 4;
const QUERY = 'Q';
const SYNC = 'S';
const READY = 'Z';
/** What a connection sends once a second, whoever it is lent to. */
const HOUSEKEEPING = 'DISCARD PLANS';
const FAILING = query('SELECT 1 / 0');

/** Stands between the service and PostgreSQL, and does to their connections what networks do. */
export class DatabaseProxy {
  /** The statements without parameters that were sent, in their order: START TRANSACTION, COMMIT, ROLLBACK. */
  readonly statements: string[] = [];
  private readonly traps = new Set<Trap>();
  private readonly connections = new Set<Connection>();
  private isAway = false;

  private constructor(
    private readonly server: Server,
    private target: URL,
  ) {
    server.on('connection', (client) => {
      if (this.isAway) {
        client.destroy();
        return;
      }
      const upstream = connect(Number(this.target.port), this.target.hostname);
      const connection = new Connection(client, upstream, (text, sent) => this.fateOf(text, sent));
      this.connections.add(connection);
      client.on('close', () => this.connections.delete(connection));
    });
  }

  static async before(databaseUrl: string): Promise<DatabaseProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new DatabaseProxy(server, new URL(databaseUrl));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** The database's address, by way of this. */
  get url(): string {
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((this.server.address() as AddressInfo).port);
    return url.toString();
  }

  /**
   * Decides the fate of the next such statement of a transaction in which `marker` was sent, as part of a statement or
   * of its parameters. Resolves when it meets it, before anything else can happen.
   */
  next(statement: Trapped, fate: Fate, marker = ''): Promise<void> {
    return new Promise((resolve) => this.traps.add({ statement, marker, fate, sprung: resolve }));
  }

  /** Cuts all connections, and takes no new ones until it comes back. */
  goAway(): void {
    this.isAway = true;
    this.cutAll();
  }

  /** Cuts all connections, and leads new ones to another server, as a proxy does that has found another primary. */
  leadTo(databaseUrl: string): void {
    this.target = new URL(databaseUrl);
    this.cutAll();
  }

  comeBack(): void {
    this.isAway = false;
  }

  async close(): Promise<void> {
    this.goAway();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private cutAll(): void {
    this.connections.forEach((connection) => connection.cut());
  }

  private fateOf(text: string, sent: string): Met {
    if (text !== HOUSEKEEPING) {
      this.statements.push(text);
    }
    const trap = [...this.traps].find((one) => one.statement === text && sent.includes(one.marker));
    if (!trap) {
      return { fate: 'arrives', sprung: () => undefined };
    }
    this.traps.delete(trap);
    return trap;
  }
}

class Connection {
  /** What was sent since the last transaction began. */
  private sent = '';
  /** How often the server will have said that it is ready when it has answered all that was sent, and how often it has. */
  private expected = 0;
  private readies = 0;
  /** The last answer that is waited for, and must not arrive. */
  private lost: { readonly answer: number; readonly sprung: () => void } | undefined;

  constructor(
    private readonly client: Socket,
    private readonly upstream: Socket,
    private readonly fateOf: (text: string, sent: string) => Met,
  ) {
    let isStarted = false;
    const takeFromClient = (message: Buffer): void => {
      if (isStarted) {
        this.fromClient(message);
      } else {
        this.start(message);
      }
      isStarted = true;
    };
    eachMessage(client, () => Number(isStarted), takeFromClient);
    eachMessage(
      upstream,
      () => 1,
      (message) => this.fromServer(message),
    );
    client.on('error', () => undefined).on('close', () => this.lost ?? upstream.end());
    upstream.on('error', () => undefined).on('close', () => client.end());
  }

  cut(): void {
    this.client.destroy();
    this.upstream.destroy();
  }

  private start(message: Buffer): void {
    this.expected += 1;
    this.upstream.write(message);
  }

  private fromClient(message: Buffer): void {
    const letter = letterOf(message);
    this.sent += message.toString('latin1');
    this.expected += Number(letter === QUERY || letter === SYNC);
    if (letter === QUERY) {
      this.meetFate(message);
    } else {
      this.upstream.write(message);
    }
  }

  private meetFate(message: Buffer): void {
    const text = textOf(message);
    if (text === 'START TRANSACTION') {
      this.sent = '';
    }
    const { fate, sprung } = this.fateOf(text, this.sent);
    this.upstream.write(fate === 'fails' ? FAILING : message);
    if (fate === 'answer is lost') {
      this.lost = { answer: this.expected, sprung };
      return;
    }
    if (fate === 'client is cut') {
      this.lost = { answer: this.expected, sprung: () => undefined };
      this.client.destroy();
    }
    sprung();
  }

  private fromServer(message: Buffer): void {
    const { lost } = this;
    const isLost = lost && this.readies === lost.answer - 1;
    this.readies += Number(letterOf(message) === READY);
    if (!isLost) {
      this.client.write(message);
    } else if (this.readies === lost.answer) {
      lost.sprung();
      this.cut();
    }
  }
}

/** Calls back with each whole message. `letters`: how many bytes stand before the length. */
function eachMessage(socket: Socket, letters: () => number, use: (message: Buffer) => void): void {
  let pending = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= letters() + LENGTH_BYTES) {
      const size = letters() + pending.readInt32BE(letters());
      if (pending.length < size) {
        return;
      }
      const message = pending.subarray(0, size);
      pending = pending.subarray(size);
      use(message);
    }
  });
}

function letterOf(message: Buffer): string {
  return String.fromCharCode(message[0]!);
}

function textOf(message: Buffer): string {
  return message.toString('utf8', 1 + LENGTH_BYTES, message.length - 1);
}

function query(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const head = Buffer.alloc(1 + LENGTH_BYTES);
  head.write(QUERY);
  head.writeInt32BE(LENGTH_BYTES + body.length, 1);
  return Buffer.concat([head, body]);
}
