import fc from 'fast-check';
import { rowCounts } from '../support/database';
import { anyCall, type Call, callOf, callsNamingTwice, LOGIN } from './calls';
import { ApiDocument, type Operation } from './document';
import { SPELLINGS } from './oddities';
import { type Answered, asCurl, type Sent } from './requests';
import { brokenRules, operationOf } from './rules';
import { almostHttp, answersIn, exchangeRaw, MALFORMED, type RawAnswer, SMUGGLED } from './raw-http';
import { Service } from './service';

/** `FUZZ_CALLS=50000 FUZZ_SEED=7 npx jest test/fuzz` asks longer, and other things. */
const CALLS = Number(process.env['FUZZ_CALLS'] ?? 3_000);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const BATCH = 20;
const MOST_MORE_CALLS = 500;
const MAX_RESIDENT_BYTES = 400 * 1024 * 1024;

jest.setTimeout(60_000 + CALLS * 50);

interface Thing {
  id?: string;
  available_stock?: number;
}

interface Envelope {
  data?: Thing | Thing[];
  page?: { next_cursor: string | null };
}

interface Exchange {
  sent: Sent;
  answer: Answered;
}

let service: Service;
let document: ApiDocument;
/** Request id and status of each answer; an id may be sent more than once. */
const answered: [id: string, status: number][] = [];
const successes = new Set<string>();
/** The last success of an operation that can be asked for again: a POST under a key. */
const repeatable = new Map<string, Exchange>();
const refusals = new Set<string>();
let comparedBatches = 0;

beforeAll(async () => {
  service = await Service.start();
  document = new ApiDocument((await service.admin.get('/openapi.json')).body);
});
afterAll(() => service?.remove());

describe(`${CALLS} calls, made up from the OpenAPI document with seed ${SEED},`, () => {
  it('are all answered as the contract and the document say, and write nothing when they are refused', async () => {
    const batches = fc.array(anyCall(document), { minLength: 1, maxLength: BATCH, size: 'max' });
    const result = await fc.check(fc.asyncProperty(batches, runBatch), { seed: SEED, numRuns: (2 * CALLS) / BATCH });
    if (result.failed) {
      const again = `after ${result.numRuns} batches and ${result.numShrinks} shrinks; FUZZ_SEED=${SEED} FUZZ_CALLS=${CALLS}`;
      throw new Error(`${(result.errorInstance as Error).message}\n\n${again}`);
    }
    expect(comparedBatches).toBeGreaterThan(CALLS / BATCH / 10);
  });

  it('reach a success and a refusal of every operation', async () => {
    // What chance has left out is asked for until it has both, with pieces at hand, and reservations that have not ended.
    const before = document.operations.filter(({ name }) => /^POST .api.(products|reservations)$/.test(name));
    for (const operation of document.operations) {
      const more = [...before, operation].map((one) => callOf(document, one));
      for (const calls of fc.sample(fc.tuple(...more), { seed: SEED, numRuns: MOST_MORE_CALLS })) {
        if (successes.has(operation.name) && refusals.has(operation.name)) {
          break;
        }
        await runBatch(calls);
      }
    }
    const names = document.operations.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(0);
    expect({
      neverSucceeded: names.filter((name) => !successes.has(name)),
      neverRefused: names.filter((name) => !refusals.has(name)),
    }).toEqual({ neverSucceeded: [], neverRefused: [] });
  });

  it('take effect once under a key, however the path is spelled, and read the same', async () => {
    expect([...repeatable.keys()].filter((name) => name.startsWith('POST')).length).toBeGreaterThan(2);
    for (const [name, { sent, answer }] of repeatable) {
      const [, path, query] = /^([^?#]*?)\/?(?=[?#]|$)([^]*)$/.exec(sent.target)!;
      for (const target of SPELLINGS.map((spelling) => spelling(path!) + query!)) {
        const { answer: again } = await send({ ...sent, target });
        expect([name, target, again.status]).toEqual([name, target, answer.status]);
        if (sent.method === 'POST') {
          expect(again.headers['idempotent-replayed']).toBe('true');
          expect(JSON.parse(again.text).data).toEqual(JSON.parse(answer.text).data);
        }
      }
    }
  });

  it('name no parameter twice, or each of its values counts once', async () => {
    const twice = document.operations.flatMap((operation) => callsNamingTwice(document, operation));
    expect(twice.length).toBeGreaterThan(0);
    for (const call of twice.flatMap((calls) => fc.sample(calls, { seed: SEED, numRuns: 3 }))) {
      await exchange(call);
    }
  });

  it('leave the stock reconciled, and a service that lives and has kept nothing of them', async () => {
    const { data } = (await service.admin.get('/api/admin/reconciliation')).body;
    expect(data).toMatchObject({ ok: true, differences: [] });
    expect(data.checked).toBeGreaterThan(0);
    expect((await service.admin.get('/health/live')).status).toBe(200);
    const { text } = await service.admin.get('/metrics');
    expect(Number(/^process_resident_memory_bytes (\d+)$/m.exec(text)![1])).toBeLessThan(MAX_RESIDENT_BYTES);
  });
});

describe('Bytes that are no HTTP', () => {
  it.each(Object.entries(MALFORMED))('are refused as a problem, and hide no second request: %s', async (_, bytes) => {
    const answers = checkedAnswers(await exchangeRaw(service.url, bytes));
    expect(answers.filter(({ status, body }) => status < 400 || body.includes(SMUGGLED))).toEqual([]);
  });

  it('break nothing when they are almost HTTP', async () => {
    const property = fc.asyncProperty(almostHttp, async (bytes) => {
      checkedAnswers(await exchangeRaw(service.url, bytes));
    });
    await fc.assert(property, { seed: SEED, numRuns: CALLS / 10 });
    expect((await service.admin.get('/health/live')).status).toBe(200);
  });
});

describe('The log of all this', () => {
  it('has one JSON line for each request, and no control character', async () => {
    expect(await service.stop()).toBe(0);
    expect(service.errors).toBe('');
    const lines = service.log.trimEnd().split('\n');
    expect(lines.filter((line) => /[\p{Cc}\p{Cs}\u2028\u2029]/u.test(line))).toEqual([]);
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    const ids = new Set(answered.map(([id]) => id));
    const logged = entries.filter(
      ({ msg, request_id }) => String(msg).endsWith('request') && ids.has(request_id as string),
    );
    // Not in the same order: that of a stream comes when the service has seen that its reader is gone.
    const inOrder = (all: unknown[][]): string[] => all.map((one) => one.join(' ')).sort();
    expect(inOrder(logged.map(({ request_id, status }) => [request_id, status]))).toEqual(inOrder(answered));
  });
});

/** The answers to these bytes: each whole, none a fault of the service, each failure a problem document. */
function checkedAnswers(received: string): RawAnswer[] {
  const answers = answersIn(received);
  for (const { status, head, body } of answers.filter((answer) => answer.status >= 400)) {
    const problem = JSON.parse(body);
    expect(head).toContain(problem.request_id);
    expect([status, document.checkProblem(problem)]).toEqual([problem.status, undefined]);
    expect(status).toBeLessThan(500);
  }
  return answers;
}

async function runBatch(calls: Call[]): Promise<void> {
  const before = await rowCounts(service.database);
  const exchanges: Exchange[] = [];
  for (const call of calls) {
    exchanges.push(await exchange(call));
  }
  const written = await writtenBy(exchanges.filter(({ answer }) => answer.status >= 400));
  if (written) {
    fail(written, ['it was refused and wrote something']);
  }
  if (!exchanges.some(mayWrite)) {
    comparedBatches += 1;
    expect(await rowCounts(service.database)).toEqual(before);
  }
}

function exchange(call: Call): Promise<Exchange> {
  return send(service.client.prepare(call));
}

async function send(sent: Sent): Promise<Exchange> {
  let answer: Answered;
  try {
    answer = await service.client.send(sent);
  } catch (error) {
    throw new Error(`${asCurl(sent)}\n\n${String(error)}`, { cause: error });
  }
  note({ sent, answer });
  const broken = brokenRules(sent, answer, document);
  if (broken.length > 0) {
    fail({ sent, answer }, broken);
  }
  return { sent, answer };
}

function fail({ sent, answer }: Exchange, broken: string[]): never {
  const shown = `${answer.status} ${JSON.stringify(answer.headers)}\n${answer.text.slice(0, 2000)}`;
  throw new Error(`${broken.join('\n')}\n\n${asCurl(sent)}\n\n${shown}`);
}

/** Remembers what an answer tells for the calls to come, and for the checks at the end. */
function note({ sent, answer }: Exchange): void {
  const { status, headers, text } = answer;
  answered.push([headers['x-request-id']!, status]);
  const operation = operationOf(sent, document);
  if (operation === undefined || sent.method === 'HEAD') {
    return;
  }
  (status < 300 ? successes : refusals).add(operation.name);
  if (status < 300) {
    rememberCall(operation, { sent, answer });
  }
  if (status < 300 && headers['content-type']?.startsWith('application/json')) {
    rememberThings(operation, JSON.parse(text));
  }
}

function rememberCall(operation: Operation, exchange: Exchange): void {
  if (exchange.sent.method === 'DELETE') {
    forget(exchange.sent.target);
  } else if (isRepeatable(operation, exchange.sent)) {
    repeatable.set(operation.name, exchange);
  }
}

/** What has been deleted cannot be read again. */
function forget(target: string): void {
  const [id] = /[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/i.exec(decodeURIComponent(target)) ?? [];
  for (const [name, { sent }] of repeatable) {
    if (id !== undefined && sent.method === 'GET' && sent.target.toLowerCase().includes(id.toLowerCase())) {
      repeatable.delete(name);
    }
  }
}

/** A PATCH would take effect again, and every log-in makes another token. Its path is not yet spelled in another way. */
function isRepeatable({ method, path }: Operation, { headers, call }: Sent): boolean {
  const hasKey = headers.some(([name]) => name === 'Idempotency-Key');
  const isOnce = method === 'GET' || (method === 'POST' && path !== LOGIN && hasKey);
  return isOnce && call.suffix === '' && call.spelling === undefined;
}

function rememberThings({ path, makes }: Operation, { data, page }: Envelope): void {
  const thing = /^(\w+?)(Detail|WithSecret)?Response$/.exec(makes ?? '')?.[1]?.toLowerCase();
  if (thing !== undefined) {
    // Some things are made by no call, and only lists tell of them.
    const things = Array.isArray(data) && service.client.knows(thing) ? [] : [data ?? []].flat();
    things.filter(leadsSomewhere).forEach(({ id }) => service.client.remember(thing, id!));
  }
  if (page?.next_cursor) {
    service.client.remember(`cursor ${path}`, page.next_cursor);
  }
}

/** What is sold out does not. */
function leadsSomewhere({ id, available_stock }: Thing): boolean {
  return id !== undefined && available_stock !== 0;
}

/** A success may write; and who found too little stock has first put away the holds that were over. */
function mayWrite({ sent, answer }: Exchange): boolean {
  const isRead = sent.method === 'GET' || sent.method === 'HEAD';
  return (answer.status < 400 && !isRead) || answer.text.includes('insufficient_stock');
}

/** The exchange whose request id stands beside something that was written, other than by a job. */
async function writtenBy(refused: Exchange[]): Promise<Exchange | undefined> {
  const tables = ['audit_logs', 'stock_movements', 'order_status_changes'].map(
    (table) => `SELECT request_id FROM ${table} WHERE request_id = ANY ($1) AND actor NOT LIKE 'system:%'`,
  );
  const ids = refused.map(({ answer }) => answer.headers['x-request-id']);
  const rows = await service.database.query<{ request_id: string }>(tables.join(' UNION ALL '), [ids]);
  return refused.find(({ answer }) => answer.headers['x-request-id'] === rows[0]?.request_id);
}
