import { DatabaseUnavailable, OutcomeUnknown, Overloaded, PoolExhausted } from '../errors/domain-errors';
import { log } from '../logging/logger';
import { calm, outcomes, Workshop } from '../../../test/support/workshop';

const MAX_BATCH = 128;

let shop: Workshop;
beforeEach(() => {
  shop = new Workshop();
});

describe('The batches of a group commit', () => {
  it('begin at once with a lone job', async () => {
    const [result] = shop.submit('a1');
    await calm();
    expect(shop.given).toEqual([['a1']]);
    expect(shop.queue.length).toBe(0);
    shop.batches[0]!.finish();
    expect(await result).toBe('a1');
  });

  it('take together, in the order of their arrival, all that arrived while the one before was under way', async () => {
    const first = await shop.begin('a1');
    void shop.submit('a2', 'a3');
    await calm();
    void shop.submit('a4');
    await calm();
    expect(shop.given).toEqual([['a1']]);
    expect(shop.queue.length).toBe(3);
    first.finish();
    await calm();
    expect(shop.given).toEqual([['a1'], ['a2', 'a3', 'a4']]);
    expect(shop.queue.length).toBe(0);
  });

  it('take together what arrived together, with whatever keys', async () => {
    await shop.begin('a1', 'b1', 'ab1', 'a2');
    expect(shop.given).toHaveLength(1);
  });

  it('are two at once, of different keys, and never three', async () => {
    const first = await shop.begin('a1');
    await shop.begin('b1');
    void shop.submit('c1', 'a2');
    await calm();
    expect(shop.given).toEqual([['a1'], ['b1']]);
    first.finish();
    await calm();
    expect(shop.given).toEqual([['a1'], ['b1'], ['c1', 'a2']]);
  });

  it('never have a key in common', async () => {
    await shop.begin('ab1');
    void shop.submit('b1', 'a1', 'bc1');
    await calm();
    expect(shop.given).toEqual([['ab1']]);
  });

  it('let others pass whose keys are free', async () => {
    await shop.begin('a1');
    void shop.submit('a2', 'b1', 'a3', 'c1');
    await calm();
    expect(shop.given).toEqual([['a1'], ['b1', 'c1']]);
  });

  it('let a job of two keys wait for both, and nobody overtake it in either', async () => {
    const first = await shop.begin('a1');
    const second = await shop.begin('b1');
    void shop.submit('ac1', 'c1', 'bc1', 'd1');
    second.finish();
    await calm();
    expect(shop.given.slice(2)).toEqual([['d1']]);
    first.finish();
    await calm();
    expect(shop.given.slice(3)).toEqual([['ac1', 'c1', 'bc1']]);
  });

  it('have 128 jobs at most, and what is left goes next, in its order', async () => {
    const first = await shop.begin('a0');
    const rest = Array.from({ length: MAX_BATCH + 3 }, (_, index) => `a${index + 1}`);
    void shop.submit(...rest);
    first.finish();
    await calm();
    expect(shop.given.slice(1)).toEqual([rest.slice(0, MAX_BATCH)]);
    shop.batches[1]!.finish();
    await calm();
    expect(shop.given.slice(2)).toEqual([rest.slice(MAX_BATCH)]);
  });

  it('let nobody overtake for a key who did not fit in', async () => {
    const names = Array.from({ length: MAX_BATCH }, (_, index) => `a${index}`);
    void shop.submit(...names, 'b1', 'bc1', 'c1', 'd1');
    await calm();
    expect(shop.given).toEqual([names, ['b1', 'bc1', 'c1', 'd1']]);
  });

  it('give each job its own outcome, and nobody another one', async () => {
    const submitted = shop.submit('a1', 'a2', 'b1');
    await calm();
    const refusal = new Error('only for a2');
    shop.batches[0]!.finish({ a2: { error: refusal } });
    expect(await outcomes(submitted)).toEqual(['ok', refusal, 'ok']);
    expect(await submitted[2]).toBe('b1');
    expect(shop.batches).toHaveLength(1);
  });

  it('are observed: how many they had, how long they took and how long each waited', async () => {
    (await shop.begin('a1', 'a2', 'b1')).finish();
    await calm();
    const text = await shop.metrics.registry.metrics();
    expect(text).toMatch(/^holdfast_batch_requests_sum 3$/m);
    expect(text).toMatch(/^holdfast_batch_requests_count 1$/m);
    expect(text).toMatch(/^holdfast_batch_duration_seconds_count 1$/m);
    expect(text).toMatch(/^holdfast_queue_wait_seconds_count 3$/m);
  });
});

describe('A batch that fails as a whole', () => {
  let level: string;
  beforeEach(() => {
    level = log.level;
    log.level = 'silent';
  });
  afterEach(() => {
    log.level = level;
  });

  it('is tried again in halves, down to the culprit, and only that one fails', async () => {
    const poison = new Error('poison');
    const submitted = shop.submit('a1', 'a2', 'a3', 'b1', 'b2');
    await calm();
    const queued = shop.submit('a4');
    const tries: string[][] = [];
    for (let next = 0; next < shop.batches.length; next += 1) {
      const { names, finish, fail } = shop.batches[next]!;
      tries.push(names);
      if (names.includes('a3')) {
        fail(poison);
      } else {
        finish();
      }
      await calm();
    }
    expect(tries).toEqual([
      ['a1', 'a2', 'a3', 'b1', 'b2'],
      ['a1', 'a2'],
      ['a3', 'b1', 'b2'],
      ['a3'],
      ['b1', 'b2'],
      ['a4'],
    ]);
    expect(await outcomes([...submitted, ...queued])).toEqual(['ok', 'ok', poison, 'ok', 'ok', 'ok']);
  });

  it('keeps its keys until the last of its parts has ended', async () => {
    const batch = await shop.begin('a1', 'b1');
    void shop.submit('a2', 'b2');
    batch.fail(new Error('poison'));
    await calm();
    expect(shop.given).toEqual([['a1', 'b1'], ['a1']]);
    shop.batches[1]!.finish();
    await calm();
    expect(shop.given).toEqual([['a1', 'b1'], ['a1'], ['b1']]);
    shop.batches[2]!.finish();
    await calm();
    expect(shop.given.at(-1)).toEqual(['a2', 'b2']);
  });

  it.each([
    ['nobody knows the outcome', new OutcomeUnknown('the connection broke')],
    ['no connection could be had', new PoolExhausted()],
  ])('is not tried again if %s: all of it fails, and the next batch goes on', async (_, error) => {
    const submitted = shop.submit('a1', 'a2', 'b1');
    await calm();
    const queued = shop.submit('a3');
    shop.batches[0]!.fail(error);
    await calm();
    expect(await outcomes(submitted)).toEqual([error, error, error]);
    expect(shop.given).toEqual([['a1', 'a2', 'b1'], ['a3']]);
    shop.batches[1]!.finish();
    expect(await outcomes(queued)).toEqual(['ok']);
  });

  it('is begun once more, all of it, if its connection was lost', async () => {
    const submitted = shop.submit('a1', 'a2', 'b1');
    await calm();
    shop.batches[0]!.fail(new DatabaseUnavailable());
    await calm();
    shop.batches[1]!.finish();
    expect(await outcomes(submitted)).toEqual(['ok', 'ok', 'ok']);
    expect(shop.given).toEqual([
      ['a1', 'a2', 'b1'],
      ['a1', 'a2', 'b1'],
    ]);
  });

  it('fails, all of it, if the database is away the second time too, and the next batch goes on', async () => {
    const error = new DatabaseUnavailable();
    const submitted = shop.submit('a1', 'a2', 'b1');
    await calm();
    const queued = shop.submit('a3');
    shop.batches[0]!.fail(new DatabaseUnavailable());
    await calm();
    shop.batches[1]!.fail(error);
    await calm();
    expect(await outcomes(submitted)).toEqual([error, error, error]);
    expect(shop.given).toHaveLength(3);
    shop.batches[2]!.finish();
    expect(await outcomes(queued)).toEqual(['ok']);
  });

  it('does not wait for locks again in its parts, once it has waited in vain', async () => {
    const overloaded = new Overloaded();
    const submitted = shop.submit('a1', 'a2', 'a3');
    await calm();
    shop.batches[0]!.fail(overloaded);
    await calm();
    shop.batches[1]!.finish();
    await calm();
    // Another reason does not make the parts of a part wait again.
    shop.batches[2]!.fail(new Error('poison'));
    await calm();
    shop.batches[3]!.fail(overloaded);
    await calm();
    shop.batches[4]!.finish();
    expect(await outcomes(submitted)).toEqual(['ok', overloaded, 'ok']);
    expect(shop.batches.map(({ names, lockWait }) => [names, lockWait])).toEqual([
      [['a1', 'a2', 'a3'], 'wait'],
      [['a1'], 'skip'],
      [['a2', 'a3'], 'skip'],
      [['a2'], 'skip'],
      [['a3'], 'skip'],
    ]);
  });

  it('waits for locks in its parts if something else was the matter', async () => {
    (await shop.begin('a1', 'a2')).fail(new Error('poison'));
    await calm();
    shop.batches[1]!.finish();
    await calm();
    expect(shop.batches.map(({ lockWait }) => lockWait)).toEqual(['wait', 'wait', 'wait']);
  });

  it('lets the next batch with its keys wait for locks again', async () => {
    const batch = await shop.begin('a1');
    void shop.submit('a2');
    batch.fail(new Overloaded());
    await calm();
    expect(shop.batches.map(({ names, lockWait }) => [names, lockWait])).toEqual([
      [['a1'], 'wait'],
      [['a2'], 'wait'],
    ]);
  });

  it('answers each part when that has ended, not when the last has', async () => {
    const submitted = shop.submit('a1', 'a2', 'b1');
    await calm();
    shop.batches[0]!.fail(new Error('poison'));
    await calm();
    shop.batches[1]!.finish();
    expect(await submitted[0]).toBe('a1');
    await calm();
    expect(shop.given.at(-1)).toEqual(['a2', 'b1']);
    shop.batches[2]!.finish();
    expect(await outcomes(submitted)).toEqual(['ok', 'ok', 'ok']);
  });
});

describe('The answers of a large batch', () => {
  it('are given a few at a time, in their order, while the next batch has begun already', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `a${index}`);
    const answered: string[] = [];
    for (const one of shop.submit(...names)) {
      void one.then((name) => answered.push(name));
    }
    await calm();
    void shop.submit('a20');
    shop.batches[0]!.finish();
    await calm();
    expect(shop.given.at(-1)).toEqual(['a20']);
    expect(answered.length).toBeGreaterThan(0);
    expect(answered.length).toBeLessThan(names.length);
    while (answered.length < names.length) {
      const before = answered.length;
      await calm();
      expect(answered.length).toBeGreaterThan(before);
    }
    expect(answered).toEqual(names);
  });
});
