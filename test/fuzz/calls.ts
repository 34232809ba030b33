import fc, { type Arbitrary } from 'fast-check';
import type { ApiDocument, Operation, Parameter } from './document';
import { CALLERS, type CallerName, FORGERIES } from './callers';
import {
  type Edit,
  EDITS,
  HEADERS,
  METHODS,
  PATH_TEXTS,
  QUERY_KEYS,
  QUERY_TEXTS,
  type Spelling,
  SPELLINGS,
  SUFFIXES,
} from './oddities';
import { Fields, hostileText, hostileValue, Known, validValue, type Value, Verbatim } from './values';

/** A call before it is made: what is only known then is not yet filled in. */
export interface Call {
  readonly operation: Operation;
  readonly method: string;
  /** The values of the path's parameters, and what is written behind the path. */
  readonly path: Readonly<Record<string, Value>>;
  readonly suffix: string;
  readonly spelling?: Spelling;
  readonly query: readonly (readonly [string | Verbatim, Value])[];
  readonly headers: readonly (readonly [string, Value])[];
  readonly body?: Value;
  readonly edit?: Edit;
  readonly isChunked: boolean;
  readonly caller: CallerName;
}

type Mutation = (call: Call) => Call;

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

/** Calls by an administrator that name one parameter of the query twice, and no other. */
export function callsNamingTwice(document: ApiDocument, operation: Operation): Arbitrary<Call>[] {
  return operation.parameters
    .filter((parameter) => parameter.in === 'query')
    .map((parameter) => {
      const given = parameterOf(document, { ...parameter, required: true }, operation.path);
      const asAdmin = validCall(document, operation).map((call): Call => ({ ...call, caller: 'admin' }));
      return fc.tuple(asAdmin, given).map(([call, entry]) => ({ ...call, query: entry ? [entry, entry] : [] }));
    });
}

export const LOGIN = '/api/auth/login';
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
  const kind = name === 'id' ? kindIn(path) : undefined;
  const value =
    kind !== undefined
      ? fc.nat(8).map((pick) => new Known(kind, pick))
      : name === 'cursor' || name === 'after'
        ? fc.nat(8).map((pick) => new Known(`cursor ${path}`, pick))
        : validValue(document, name, example === undefined ? schema : { ...schema, example });
  const entry = value.map((one): [string, Value] => [name, one]);
  return required ? entry : fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, entry);
}

/** What the id in a path is of: `webhookdelivery` for `/api/webhook-deliveries/{id}`. */
function kindIn(path: string): string | undefined {
  const things = /^\/api\/([\w-]+)s\//.exec(path)?.[1];
  return things?.replace(/ie$/, 'y').replaceAll('-', '');
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
      weight: index < 5 ? 6 : 1,
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
    fc.nat().map((pick): Mutation => (call) => ({ ...call, query: withOneTwice(call.query, pick) })),
    { weight: 2, arbitrary: pathMutation(inPath, verbatim(PATH_TEXTS)) },
    fc.constantFrom(...SPELLINGS).map((spelling): Mutation => (call) => ({ ...call, spelling })),
    header.map((entry): Mutation => (call) => ({ ...call, headers: [...call.headers, entry] })),
    { weight: 2, arbitrary: header.map(([name, value]): Mutation => (call) => ({ ...call, headers: [...without(call.headers, name), [name, value]] })) }, // prettier-ignore
    fc.constantFrom(...CALLERS, ...FORGERIES).map((caller): Mutation => (call) => ({ ...call, caller })),
    fc.constantFrom(...METHODS).map((method): Mutation => (call) => ({ ...call, method })),
    fc.constant<Mutation>((call) => ({ ...call, isChunked: true })),
  );
}

/** One of the parameters is given again, or one that every list takes is given twice. */
function withOneTwice(query: Call['query'], pick: number): Call['query'] {
  const given = query.length > 0 ? query : [['limit', '1'] as const];
  return [...given, given[pick % given.length]!];
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
