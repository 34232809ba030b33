import { randomUUID } from 'node:crypto';
import { sign } from 'jsonwebtoken';
import { ApiDocument } from '../fuzz/document';
import { Api } from '../support/api';
import { createDatabase, type TestDatabase } from '../support/database';
import { Build, type Running } from '../support/program';
import { JWT_SECRET } from '../support/test-app';

const LONGEST_MS = 10;
/** Others use this machine too: what holds up the event loop does so each time. */
const TRIES = 200;
/** A little less than what a body, and what the head of a request may have. */
const BODY_BYTES = 94 * 1024;
const QUERY_BYTES = 15 * 1024;

let database: TestDatabase;
let running: Running;
let url: string;
let headers: Record<string, string>;
/** What takes a body, and the fields that the body may have. */
let operations: { method: string; path: string; names: string[] }[];

/** The compiled program, which takes a fraction of the time that the same code takes within Jest. */
beforeAll(async () => {
  database = await createDatabase();
  const settings = { NODE_ENV: 'production', PORT: '0', DATABASE_URL: database.url, JWT_SECRET, LOG_LEVEL: 'info' };
  running = (await Build.make()).start('main.js', [], {
    ...settings,
    RATE_LIMIT_PER_MINUTE: '0',
    LOGIN_RATE_LIMIT_PER_MINUTE: '0',
  });
  url = await running.address();
  const token = sign({ sub: randomUUID(), role: 'admin' }, JWT_SECRET, { expiresIn: 3600 });
  headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` };
  const document = new ApiDocument((await new Api(url).get('/openapi.json')).body);
  operations = document.operations.flatMap(({ method, path, body }) =>
    body ? [{ method, path: path.replace('{id}', randomUUID()), names: Object.keys(body.properties!) }] : [],
  );
  expect(operations.length).toBeGreaterThan(9);
}, 60_000);
afterAll(async () => {
  await running?.end();
  await database?.drop();
});

/** `open`, as many units as there is room for, `close`. */
function filled(open: string, unit: (index: number) => string, close: string, bytes = BODY_BYTES): string {
  const units: string[] = [];
  for (let [index, length] = [0, 0]; length < bytes; index += 1) {
    units.push(unit(index));
    length += Buffer.byteLength(units.at(-1)!) + 1;
  }
  return open + units.slice(0, -1).join(',') + close;
}

const fields = (count: number, name = 'f'): string =>
  `{${Array.from({ length: count }, (_, index) => `"${name}${index}":0`).join()}}`;
const list = (count: number, element: string): string => `[${Array<string>(count).fill(element).join()}]`;

/** Bodies of a shape that is not that of any DTO. */
const SHAPES: Record<string, string> = {
  'unknown fields': filled('{', (index) => `"${index.toString(36)}":0`, '}'),
  'as many unknown fields as may be': fields(990, 'x'.repeat(80)),
  'fields with numbers for names': filled('{', (index) => `"${(index * 131_072) % 4_294_967_295}":0`, '}'),
  'one field again and again': filled('{', () => '"items":0', '}'),
  lines: `{"items":${filled('[', () => '{}', ']')}}`,
  'lists of numbers': `{"items":${list(100, list(400, '0'))}}`,
  'as many lists as may be': `{"items":${list(100, list(8, '0'))}}`,
  'wrong lines': `{"items":${list(100, '{"product_id":"x","quantity":"x","warehouse_id":"x"}')}}`,
  'lines of unknown fields': `{"items":${list(100, fields(8))}}`,
  'fields in the place of a number': `{"product_id":"x","quantity":${fields(990)}}`,
  'fields in the place of a text': `{"email":${fields(990)},"password":"x"}`,
  'lists within lists': `{"items":${'['.repeat(BODY_BYTES / 2 - 10)}${']'.repeat(BODY_BYTES / 2 - 10)}}`,
  'objects within objects': `{"items":${'{"items":'.repeat(9000)}1${'}'.repeat(9000)}}`,
  'prototypes within lists': `{"constructor":1,"x":${'['.repeat(46_000)}${']'.repeat(46_000)}}`,
  'a list without a field': filled('[', () => '0', ']'),
  'nothing but signs': ',{['.repeat(BODY_BYTES / 3),
};

/** Texts, to be repeated, that are hard for some regular expression or some conversion. */
const TEXTS = {
  ...{ letters: 'a', spaces: ' ', digits: '9', zeros: '0.', dashes: '0-', underscores: '_', backslashes: '\\\\' },
  ...{ 'line feeds': '\\n', 'at signs': '@', domains: 'a.', 'email addresses': 'a@a.', quotes: '\\"', bars: '\\t \\t' },
  ...{ 'capital letters that grow': 'İ', emoji: '🅰️', selectors: '\ufe0f', 'half a pair': '\\ud800', ligatures: 'ﷺ' },
};

/** How long an answer takes, at best. None of it is spent waiting for a database: all these are refused. */
async function timeOf(method: string, path: string, body?: string): Promise<{ ms: number; status: number }> {
  let [ms, status] = [Infinity, 0];
  for (let tries = 0; tries < TRIES && ms >= LONGEST_MS; tries += 1) {
    const start = performance.now();
    const reply = await fetch(url + path, { method, headers, body });
    await reply.arrayBuffer();
    [ms, status] = [Math.min(ms, performance.now() - start), reply.status];
  }
  return { ms, status };
}

describe('The event loop', () => {
  async function expectSoon(method: string, path: string, body?: string): Promise<void> {
    const { ms, status } = await timeOf(method, path, body);
    const asked = `${method} ${path.slice(0, 60)}`;
    expect([asked, status, ms < LONGEST_MS ? 'soon' : ms]).toEqual([asked, 400, 'soon']);
  }

  async function expectSoonRefused(bodyFor: (names: string[]) => string): Promise<void> {
    for (const { method, path, names } of operations) {
      await expectSoon(method, path, bodyFor(names));
    }
  }

  it.each(Object.keys(SHAPES))('is not held up for 10 ms by a body of %s', async (name) => {
    await expectSoonRefused(() => SHAPES[name]!);
  });

  it.each(Object.entries(TEXTS))('is not held up for 10 ms by a text of %s in every field', async (_, text) => {
    await expectSoonRefused((names) => {
      const value = text.repeat(BODY_BYTES / Buffer.byteLength(text) / names.length - 10);
      return `{${names.map((name) => `"${name}":"${value}"`).join()}}`;
    });
  });

  it.each(['9', '-1', '9.8', '1e9'])(
    'is not held up for 10 ms by a number as long as %s… in every field',
    async (start) => {
      await expectSoonRefused((names) => {
        const value = start + '9'.repeat(BODY_BYTES / names.length - 50);
        return `{${names.map((name) => `"${name}":${value}`).join()}}`;
      });
    },
  );

  it.each([
    ['unknown parameters', (index: number) => `${index.toString(36)}`],
    ['one parameter again and again', () => 'limit=1'],
    ['parameters that cannot be decoded', () => '%zz=%'],
    ['a list of statuses', () => 'status=pending,lost'],
  ])('is not held up for 10 ms by a query of %s', async (_, unit) => {
    const query = filled('', unit, '', QUERY_BYTES).replaceAll(',', '&');
    for (const path of ['/api/products', '/api/orders', '/api/audit-logs', '/api/admin/metrics', '/health/live']) {
      await expectSoon('GET', `${path}?${query}`);
    }
  });
});
