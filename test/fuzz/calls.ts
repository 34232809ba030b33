import fc, { type Arbitrary } from 'fast-check';
import type { ApiDocument, Operation, Parameter } from './document';
import { CALLERS, type CallerName, FORGERIES } from './callers';
import { Fields, hostileText, hostileValue, Known, validValue, type Value, Verbatim } from './values';

/** A call before it is made: what is only known then is not yet filled in. */
export interface Call {
  readonly operation: Operation;
  readonly method: string;
  /** The values of the path's parameters, and what is written behind the path. */
  readonly path: Readonly<Record<string, Value>>;
  readonly suffix: string;
  readonly query: readonly (readonly [string | Verbatim, Value])[];
  readonly headers: readonly (readonly [string, Value])[];
  readonly body?: Value;
  readonly edit?: Edit;
  readonly isChunked: boolean;
  readonly caller: CallerName;
}

/** A change of the text that the body has become. */
type Edit = (text: string) => string;
type Mutation = (call: Call) => Call;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'];

const HEADERS: Record<string, (string | Known)[]> = {
  'Idempotency-Key': ['', ' ', 'a b', 'ä', '"quoted"', 'x'.repeat(255), 'x'.repeat(256), '\u007f', 'a\tb', 'key,key'],
  'If-Match': ['*', '"1"', '1', 'W/"1"', '"x"', '"1", "2"', '', ',', '"99999999999"', '-1', '"1e0"', '1'.repeat(3000)],
  'X-Request-Id': [new Known('fresh', 0), new Known('FRESH', 0), '', 'x', 'a\tb', 'x'.repeat(4000), '\u009b31m'],
  'Content-Type': [
    ...[
      'application/json; charset=utf-8',
      'application/json;charset=UTF-16',
      'application/json; charset="',
      'text/plain',
    ],
    ...['APPLICATION/JSON', 'application/json, text/plain', 'application/json;;;', 'application/problem+json', '', '/'],
    ...['multipart/form-data', 'application/x-www-form-urlencoded', 'application/json\t', 'json', ';', '\u00e4'],
  ],
  Accept: ['text/html', 'application/xml', '', ';;;', '*/*;q=0', 'x'.repeat(2000)],
  'Content-Encoding': ['gzip', 'br', 'identity', 'nonsense', 'gzip, gzip'],
  Expect: ['100-continue', 'nonsense', '', '100-continue, 200-ok'],
  'X-HTTP-Method-Override': ['DELETE', 'GET', 'POST'],
  'X-Forwarded-For': ['127.0.0.1', 'x, y, z', '::1', '\u0080'],
  'X-Forwarded-Host': ['evil.example'],
  Upgrade: ['websocket', 'h2c'],
  Range: ['bytes=0-1'],
  'If-None-Match': ['*', '"1"'],
  'If-Modified-Since': ['never'],
  Cookie: ['a=b; __proto__=c', 'x'.repeat(7000)],
  Origin: ['null', 'http://evil.example'],
  'Accept-Encoding': ['gzip', ''],
  Connection: ['close', 'Upgrade', 'Authorization'],
  'X-Very-Long': ['x'.repeat(10_000), 'x'.repeat(17_000)],
};

const QUERY_KEYS = [
  ...['__proto__', 'constructor', 'toString', '', ' ', 'x', 'limit[]', 'limit[0]', 'q.$ne', 'status[$ne]', 'a[b][c]'],
  ...['\u0000', '\ud83d\ude00', 'LIMIT', 'limit ', 'x'.repeat(300), 'then', 'request_id\r\n'],
];
const QUERY_TEXTS = [
  '%',
  '%zz',
  '%ff',
  '%c0%af',
  '%ed%a0%80',
  '%00',
  '%u0041',
  '+',
  '%2b',
  '=',
  'a=b',
  '%25',
  '%F0%9F',
];
const PATH_TEXTS = [
  '%00',
  '%ff',
  '%c0%ae',
  '%2e%2e',
  '%2f',
  '%zz',
  '%',
  '%252f',
  '.',
  '..;',
  '%20',
  '*',
  ':id',
  "'",
  '\u00e4',
];
const SUFFIXES = ['/', '//', '/.', '/..', '/%2e%2e', ';a=b', '%2f', '/x', '/../..', '#x', '%00', '.json', '\\', '?'];

const EDITS: ((pick: number) => Edit)[] = [
  (pick) => (text) => text.slice(0, pick % (text.length + 1)),
  (pick) => (text) => `${text.slice(0, pick % (text.length + 1))}${text.slice((pick % (text.length + 1)) + 1)}`,
  (pick) => (text) => text.slice(0, pick % (text.length + 1)) + '\u0000' + text.slice(pick % (text.length + 1)),
  () => (text) => `\ufeff${text}`,
  () => (text) => `${text}${text}`,
  () => (text) => text.replace(/}\s*$/, ',}'),
  () => (text) => text.replaceAll('"', "'"),
  () => (text) => text.replace(/^{/, '{"__proto__":{"role":"admin"},'),
  () => (text) => text.replace(/^{/, '{"\\u005f\\u005fproto__":{"role":"admin"},'),
  () => (text) => text.replace(/^{/, '{// comment\n'),
  () => (text) => ` \t\r\n${text}\n\n`,
  () => (text) => text + ' '.repeat(300_000),
  () => () => '',
  () => () => 'null',
];

/** Calls of every operation: half of them as the document has them but for a change or two, the rest far from it. */
export function anyCall(document: ApiDocument): Arbitrary<Call> {
  return fc.oneof(
    ...document.operations.map((operation) => ({
      weight: weightOf(operation),
      arbitrary: callOf(document, operation),
    })),
  );
}

/**
 * What changes something is asked for more often, above all where the document leaves open which fields go together, and
 * what takes nothing, as there is little to get wrong; but not what checks a password, which is slow on purpose.
 */
function weightOf({ method, isPublic, parameters, body, bodyFields }: Operation): number {
  if (method === 'GET') {
    return parameters.length === 0 ? 6 : 3;
  }
  if (isPublic) {
    return 4;
  }
  return method === 'POST' && body?.required === undefined && bodyFields.length > 0 ? 16 : 5;
}

/** Half of the calls of an operation are as the document has them, the others have something wrong. */
export function callOf(document: ApiDocument, operation: Operation): Arbitrary<Call> {
  const mutation = mutationOf(operation);
  const mutations = fc.oneof(
    { weight: 9, arbitrary: fc.constant<Mutation[]>([]) },
    { weight: 4, arbitrary: fc.tuple(mutation) },
    { weight: 1, arbitrary: fc.tuple(mutation, mutation) },
    { weight: 4, arbitrary: fc.array(mutation, { minLength: 3, maxLength: 6, size: 'max' }) },
  );
  return fc
    .tuple(validCall(document, operation), mutations)
    .map(([call, some]) => some.reduce((changed, mutate) => mutate(changed), call));
}

const LOGIN = '/api/auth/login';
/** Those of somebody who is registered: by chance they would hardly be right. */
const CREDENTIALS = new Fields([
  ['email', new Known('email', 0)],
  ['password', new Known('password', 0)],
]);

/** As the document has it, by somebody who may. */
function validCall(document: ApiDocument, operation: Operation): Arbitrary<Call> {
  const { path, method, roles, parameters, body } = operation;
  const given = (place: Parameter['in']): Arbitrary<[string, Value][]> =>
    fc
      .tuple(...parameters.filter((parameter) => parameter.in === place).map((one) => parameterOf(document, one, path)))
      .map((entries) => entries.filter((entry) => entry !== undefined));
  const validBody = body ? validValue(document, 'body', body) : fc.constant(undefined);
  return fc.record({
    operation: fc.constant(operation),
    method: fc.constant(method),
    path: given('path').map((entries) => Object.fromEntries(entries)),
    suffix: fc.constant(''),
    query: given('query'),
    headers: given('header'),
    body: path === LOGIN ? fc.oneof(fc.constant(CREDENTIALS), validBody) : validBody,
    isChunked: fc.constant(false),
    caller: fc.constantFrom(
      'admin',
      'admin',
      ...(roles ? (['admin', 'admin', 'admin', 'ada'] as const) : (['ada', 'ada', 'bob'] as const)),
    ),
  });
}

function parameterOf(
  document: ApiDocument,
  { name, schema, required, example }: Parameter,
  path: string,
): Arbitrary<[string, Value] | undefined> {
  const kind = name === 'id' ? /^\/api\/(\w+?)s\//.exec(path)?.[1] : undefined;
  const value =
    kind !== undefined
      ? fc.nat(8).map((pick) => new Known(kind, pick))
      : name === 'cursor'
        ? fc.nat(8).map((pick) => new Known(`cursor ${path}`, pick))
        : validValue(document, name, example === undefined ? schema : { ...schema, example });
  const entry = value.map((one): [string, Value] => [name, one]);
  return required ? entry : fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, entry);
}

function mutationOf({ parameters }: Operation): Arbitrary<Mutation> {
  const names = (place: string): string[] => parameters.filter((one) => one.in === place).map(({ name }) => name);
  const [inPath, inQuery] = [names('path'), [...names('query'), 'limit', 'cursor']];
  const verbatim = (texts: string[]): Arbitrary<Verbatim> =>
    fc.constantFrom(...texts).map((text) => new Verbatim(text));
  const intoBody = fc
    .tuple(fc.nat(20), fc.constantFrom<Change['how']>('replace', 'drop', 'repeat', 'add'), hostileText, hostileValue)
    .map(([pick, how, key, value]): Mutation => (call) => ({
      ...call,
      body: changed(call.body, { pick, how, key, value }),
    }));
  const header = fc.oneof(
    ...Object.entries(HEADERS).map(([name, values], index) => ({
      // The first are those that the contract knows.
      weight: index < 4 ? 6 : 1,
      arbitrary: fc.tuple(
        fc.constant(name),
        fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...values) }, hostileText),
      ),
    })),
  );
  return fc.oneof(
    { weight: 8, arbitrary: intoBody },
    hostileValue.map((body): Mutation => (call) => ({ ...call, body })),
    fc
      .tuple(fc.constantFrom(...EDITS), fc.nat(500))
      .map(([edit, pick]): Mutation => (call) => ({ ...call, edit: edit(pick) })),
    fc
      .tuple(
        fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom(...inQuery) },
          fc.constantFrom(...QUERY_KEYS),
          verbatim(QUERY_TEXTS),
        ),
        fc.oneof(hostileText, verbatim(QUERY_TEXTS)),
      )
      .map((entry): Mutation => (call) => ({ ...call, query: [...call.query, entry] })),
    { weight: 2, arbitrary: pathMutation(inPath, verbatim(PATH_TEXTS)) },
    header.map((entry): Mutation => (call) => ({ ...call, headers: [...call.headers, entry] })),
    { weight: 2, arbitrary: header.map(([name, value]): Mutation => (call) => ({ ...call, headers: [...without(call.headers, name), [name, value]] })) }, // prettier-ignore
    fc.constantFrom(...CALLERS, ...FORGERIES).map((caller): Mutation => (call) => ({ ...call, caller })),
    fc.constantFrom(...METHODS).map((method): Mutation => (call) => ({ ...call, method })),
    fc.constant<Mutation>((call) => ({ ...call, isChunked: true })),
  );
}

function pathMutation(names: string[], written: Arbitrary<Verbatim>): Arbitrary<Mutation> {
  const suffix = fc.constantFrom(...SUFFIXES).map((text): Mutation => (call) => ({ ...call, suffix: text }));
  if (names.length === 0) {
    return suffix;
  }
  const parameter = fc
    .tuple(fc.constantFrom(...names), fc.oneof(hostileText, written))
    .map(([name, value]): Mutation => (call) => ({ ...call, path: { ...call.path, [name]: value } }));
  return fc.oneof({ weight: 3, arbitrary: parameter }, suffix);
}

interface Change {
  pick: number;
  how: 'replace' | 'drop' | 'repeat' | 'add';
  key: string;
  value: Value;
}

/** The body with one field changed: one of its own, or one of an object within it. */
function changed(body: Value | undefined, change: Change): Value {
  if (!(body instanceof Fields)) {
    return body ?? new Fields([[change.key, change.value]]);
  }
  const { entries } = body;
  const index = change.pick % (entries.length + 1);
  const [name, old] = entries[index] ?? [];
  if (name === undefined) {
    return new Fields([...entries, [change.key, change.value]]);
  }
  if (Array.isArray(old) && old[0] instanceof Fields && change.pick % 3 > 0) {
    const inner = [changed(old[0], { ...change, pick: change.pick >> 1 }), ...(old as Value[]).slice(1)];
    return new Fields(entries.with(index, [name, inner]));
  }
  const { key, value } = change;
  const ways: Record<Change['how'], Fields['entries']> = {
    replace: entries.with(index, [name, value]),
    drop: entries.filter((_, at) => at !== index),
    repeat: [...entries, [name, value]],
    add: [...entries, [key, value]],
  };
  return new Fields(ways[change.how]);
}

function without(headers: Call['headers'], name: string): Call['headers'] {
  return headers.filter(([other]) => other.toLowerCase() !== name.toLowerCase());
}
