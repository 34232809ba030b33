import { isUUID } from 'class-validator';
import { problemType, PROBLEMS, type ProblemCode } from '../../src/platform/errors/problem-catalogue';
import { roleOf } from './callers';
import type { ApiDocument, Operation } from './document';
import type { Answered, Sent } from './requests';

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';
const MEMBERS = ['type', 'title', 'status', 'detail', 'instance', 'code', 'request_id'];
/** The members that the contract gives to some codes. */
const MORE_MEMBERS: Partial<Record<ProblemCode, string[]>> = {
  validation_failed: ['errors'],
  insufficient_stock: ['shortages'],
  stock_level_full: ['levels'],
  reservation_not_active: ['reservation_status'],
  invalid_transition: ['from', 'to', 'allowed'],
  duplicate: ['field'],
  version_mismatch: ['current_version'],
  cursor_expired: ['oldest_cursor'],
};
/** The parameters that may be given again and again. */
const REPEATABLE = ['GET /api/orders status', 'GET /api/events types', 'GET /api/events/stream types'];
const MONEY = /^\d+\.\d\d$/;
const MONEY_NAMES = ['price', 'unit_price', 'line_total', 'total_amount', 'amount'];

/** Whether Node's parser could not read the request, so that nothing else saw it. */
export function isUnread(answer: string): boolean {
  return answer.includes('"instance":"/",');
}

/** The operation that a request asks for, which need not be the one that it was made up from. */
export function operationOf({ method, target }: Sent, { operations }: ApiDocument): Operation | undefined {
  const path = pathOf(target).replace(/(?<=.)\/$/, '');
  if (!isDecodable(path)) {
    return undefined;
  }
  const matches = operations.filter(
    (operation) =>
      (method === operation.method || (method === 'HEAD' && operation.method === 'GET')) &&
      new RegExp(`^${operation.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(decodeURI(path)),
  );
  return matches.sort((one, other) => one.path.split('{').length - other.path.split('{').length)[0];
}

/** Every rule of the contract that this answer breaks. */
export function brokenRules(sent: Sent, answer: Answered, document: ApiDocument): string[] {
  const operation = operationOf(sent, document);
  const broken = [...rulesOfAnswers(sent, answer)];
  if (sent.method === 'HEAD') {
    return [...broken, ...(answer.text === '' ? [] : ['HEAD is answered with a body'])];
  }
  if (answer.status >= 400) {
    broken.push(...rulesOfProblems(sent, answer, document));
  }
  if (operation === undefined) {
    return broken;
  }
  broken.push(...rulesOfOperation(operation, answer));
  return answer.status < 300 ? [...broken, ...rulesOfSuccess(operation, sent, answer)] : broken;
}

/** What Node could not read is answered without its head. */
function isLeftUnread({ status, text }: Answered): boolean {
  return status === 413 || text.includes('not well-formed HTTP');
}

function rulesOfAnswers({ headers }: Sent, answer: Answered): string[] {
  const { status, headers: answered } = answer;
  const id = answered['x-request-id'];
  const own = headers.filter(([name]) => name.toLowerCase() === 'x-request-id').map(([, value]) => value);
  return [
    ...(status >= 500 ? [`status ${status}`] : []),
    ...(isUUID(id) ? [] : [`X-Request-Id is ${id}`]),
    ...(own.length === 1 && isUUID(own[0]) && !isLeftUnread(answer) && own[0]!.toLowerCase() !== id
      ? [`X-Request-Id ${own[0]} is not taken over`]
      : []),
  ];
}

function rulesOfProblems(sent: Sent, answer: Answered, document: ApiDocument): string[] {
  const { headers, text } = answer;
  const problem = parsed(text) as Problem | undefined;
  if (headers['content-type'] !== PROBLEM_TYPE || problem === undefined) {
    return [`the failure is no problem document but ${headers['content-type']}`];
  }
  const wrong = document.checkProblem(problem);
  return wrong === undefined
    ? [...wrongMembers(problem, sent, answer), ...strangersIn(problem, sent, operationOf(sent, document))]
    : [`the problem document is not as documented: ${wrong}`];
}

interface Problem {
  type: string;
  title: string;
  status: number;
  instance: string;
  code: ProblemCode;
  request_id: string;
  errors: { field: string }[];
}

function wrongMembers(problem: Problem, { target }: Sent, { status, headers, text }: Answered): string[] {
  const { code } = problem;
  const members = [...MEMBERS, ...(MORE_MEMBERS[code] ?? [])];
  const rules: [boolean, string][] = [
    [members.sort().join() === Object.keys(problem).sort().join(), `its members are ${Object.keys(problem).join()}`],
    [problem.request_id === headers['x-request-id'], 'its request_id is not X-Request-Id'],
    [problem.status === status && PROBLEMS[code].status === status, `its status is ${problem.status}`],
    [problem.type === problemType(code), `its type is ${problem.type}`],
    [problem.title === PROBLEMS[code].title, `its title is ${problem.title}`],
    [isUnread(text) || problem.instance === pathOf(target), `its instance is ${problem.instance}`],
  ];
  return rules.filter(([isKept]) => !isKept).map(([, wrong]) => `problem document: ${wrong}`);
}

/** A validation failure has to name what was sent or has to be there. */
function strangersIn({ code, errors }: Problem, { target, headers, body }: Sent, operation?: Operation): string[] {
  if (code !== 'validation_failed') {
    return [];
  }
  const { bodyFields = [], parameters = [] } = operation ?? {};
  const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  const sentFields = Object.keys(Object(parsed(body ?? '')) as object);
  const inHead = headers.map(([name]) => name.toLowerCase());
  const names = [
    'body',
    'query',
    'path',
    ...inHead,
    ...namesIn(queryOf(target)),
    ...bodyFields,
    ...sentFields,
    ...inPath,
  ];
  const strangers = errors.filter(({ field }) => !names.some((name) => `${field}.`.startsWith(`${name}.`)));
  return [
    ...strangers.map(({ field }) => `problem document: it names ${field}`),
    ...(errors.length > 0 ? [] : ['problem document: it names no field']),
  ];
}

function rulesOfOperation({ answers }: Operation, { status, headers, text }: Answered): string[] {
  const documented = answers[String(status)];
  if (documented === undefined) {
    return [`status ${status} is not documented`];
  }
  const type = headers['content-type']?.split(';', 1)[0] ?? '';
  const check = documented[type];
  if (check === undefined) {
    return [`media type ${type} is not documented for ${status}`];
  }
  const wrong = check(type.endsWith('json') ? parsed(text) : text);
  return wrong === undefined ? [] : [`the answer is not as documented: ${wrong}`];
}

/** What was accepted must have been acceptable: the caller, the head, the body and every parameter. */
function rulesOfSuccess(operation: Operation, sent: Sent, answer: Answered): string[] {
  const { isPublic, roles = ['admin', 'user'] } = operation;
  const isAllowed = isPublic || roles.some((role) => role === roleOf(sent.call.caller));
  // Of a GET no body is read.
  const body = sent.method === 'GET' ? {} : parsed(sent.body ?? '{}');
  const wrongBody = operation.checkBody(body ?? {});
  return [
    ...(isAllowed ? [] : [`${sent.call.caller} may do it`]),
    ...(wrongBody === undefined ? [] : [`it took a body that is not as documented: ${wrongBody}`]),
    ...wrongHeaders(sent).map((wrong) => `it took ${wrong}`),
    ...wrongParameters(operation, sent).map((wrong) => `it took a parameter that is not as documented: ${wrong}`),
    ...(answer.headers['content-type']?.startsWith('application/json') ? rulesOfEnvelopes(answer) : []),
  ];
}

/** What says that there are two readings of the request, or that the body is something other than JSON in UTF-8. */
function wrongHeaders({ method, headers }: Sent): string[] {
  const given = (name: string): string[] =>
    headers.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
  const twice = ['host', 'authorization', 'content-type'].filter((name) => given(name).length > 1);
  const [type] = given('content-type');
  const encodings = given('content-encoding').flatMap((value) => value.split(','));
  const foreign = encodings.filter((encoding) => !/^\s*(identity)?\s*$/i.test(encoding));
  const hasBody = method !== 'GET' && type !== undefined;
  return [
    ...twice.map((name) => `two of ${name}`),
    ...(hasBody ? foreign.map((encoding) => `a body in ${encoding}`) : []),
    ...(hasBody && /charset\s*=(?!\s*"?utf-?8"?\s*(;|$))/i.test(type) ? [`a body of ${type}`] : []),
  ];
}

function rulesOfEnvelopes({ headers, text }: Answered): string[] {
  const { request_id, data } = parsed(text) as { request_id: string; data: unknown };
  const ids = Array.isArray(data) ? (data as { id?: string }[]).flatMap(({ id }) => id ?? []) : [];
  return [
    ...(request_id === headers['x-request-id'] ? [] : ['request_id is not X-Request-Id']),
    ...(new Set(ids).size === ids.length ? [] : ['a list has something twice']),
    ...wrongMoney(data),
  ];
}

function wrongParameters(
  { name: operation, checkParameter, parameters }: Operation,
  { target, headers }: Sent,
): string[] {
  const query = [...new URLSearchParams(`?${queryOf(target)}`)];
  // Spaces around a value are none of it.
  const ofHeaders = headers
    .filter(([name]) => checkParameter.has(name.toLowerCase()))
    .map(([name, value]) => [name, value.replace(/^[ \t]+|[ \t]+$/g, '')] as const);
  const repeated = query.filter(([name], index) => query.some(([other], at) => at < index && other === name));
  const wrong = [...query, ...ofHeaders].map(([name, value]) => {
    const isQuery = parameters.some((parameter) => parameter.in === 'query' && parameter.name === name);
    const check = checkParameter.get(name.toLowerCase());
    const isKnown = isQuery || ofHeaders.some(([header]) => header === name);
    const why = isKnown ? check!(value) : 'there is no such parameter';
    return why && `${name}=${value}: ${why}`;
  });
  const refusable = repeated.filter(([name]) => !REPEATABLE.includes(`${operation} ${name}`));
  return [...wrong.filter((one) => one !== undefined), ...refusable.map(([name]) => `${name} was given twice`)];
}

function wrongMoney(data: unknown): string[] {
  if (typeof data !== 'object' || data === null) {
    return [];
  }
  return Object.entries(data).flatMap(([name, value]) => {
    const isWrong = MONEY_NAMES.includes(name) && typeof value === 'string' && !MONEY.test(value);
    const isFree = name === 'old_value' || name === 'new_value';
    return isWrong ? [`${name} is ${value}`] : isFree ? [] : wrongMoney(value);
  });
}

/** Without the query, and without the server that a target may name. */
function pathOf(target: string): string {
  return target.replace(/^\w+:\/\/[^/?#]*/, '').split(/[?#]/, 1)[0]!;
}

function queryOf(target: string): string {
  return /[?#]([^]*)$/.exec(target)?.[1] ?? '';
}

/** The names in a query: decoded, and as they stand where they cannot be. */
function namesIn(query: string): string[] {
  const written = query.split('&').map((part) => part.split('=', 1)[0]!.replaceAll('+', ' '));
  return [...written, ...new URLSearchParams(`?${query}`).keys()];
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function parsed(text: string): unknown {
  try {
    // A byte order mark may stand before a JSON text.
    return JSON.parse(text.replace(/^\ufeff/, '')) as unknown;
  } catch {
    return undefined;
  }
}
