import { DatabaseUnavailable, OutcomeUnknown, Overloaded, PoolExhausted } from '../errors/domain-errors';
import { log } from '../logging/logger';
import { calm, outcomes, ManualBatches } from '../../../test/support/manual-batches';

const MAX_BATCH = 128;

let manual: ManualBatches;
beforeEach(() => {
  manual = new ManualBatches();
});

describe('The batches of a queue', () => {
  it('begin at once with a lone job', async () => {
    const [result] = manual.submit('a1');
    await calm();
    expect(manual.given).toEqual([['a1']]);
    expect(manual.queue.length).toBe(0);
    manual.batches[0]!.finish();
    expect(await result).toBe('a1');
  });

  it('take together, in the order of their arrival, all that arrived while the one before was under way', async () => {
    const first = await manual.begin('a1');
    void manual.submit('a2', 'a3');
    await calm();
    void manual.submit('a4');
    await calm();
    expect(manual.given).toEqual([['a1']]);
    expect(manual.queue.length).toBe(3);
    first.finish();
    await calm();
    expect(manual.given).toEqual([['a1'], ['a2', 'a3', 'a4']]);
    expect(manual.queue.length).toBe(0);
  });

  it('take together what arrived together, with whatever keys', async () => {
    await manual.begin('a1', 'b1', 'ab1', 'a2');
    expect(manual.given).toHaveLength(1);
  });

  it('are two at once, of different keys, and never three', async () => {
    const first = await manual.begin('a1');
    await manual.begin('b1');
    void manual.submit('c1', 'a2');
    await calm();
    expect(manual.given).toEqual([['a1'], ['b1']]);
    first.finish();
    await calm();
    expect(manual.given).toEqual([['a1'], ['b1'], ['c1', 'a2']]);
  });

  it('never have a key in common', async () => {
    await manual.begin('ab1');
    void manual.submit('b1', 'a1', 'bc1');
    await calm();
    expect(manual.given).toEqual([['ab1']]);
  });

  it('let others pass whose keys are free', async () => {
    await manual.begin('a1');
    void manual.submit('a2', 'b1', 'a3', 'c1');
    await calm();
    expect(manual.given).toEqual([['a1'], ['b1', 'c1']]);
  });

  it('let a job of two keys wait for both, and nobody overtake it in either', async () => {
    const first = await manual.begin('a1');
    const second = await manual.begin('b1');
    void manual.submit('ac1', 'c1', 'bc1', 'd1');
    second.finish();
    await calm();
    expect(manual.given.slice(2)).toEqual([['d1']]);
    first.finish();
    await calm();
    expect(manual.given.slice(3)).toEqual([['ac1', 'c1', 'bc1']]);
  });

  it('have 128 jobs at most, and what is left goes next, in its order', async () => {
    const first = await manual.begin('a0');
    const rest = Array.from({ length: MAX_BATCH + 3 }, (_, index) => `a${index + 1}`);
    void manual.submit(...rest);
    first.finish();
    await calm();
    expect(manual.given.slice(1)).toEqual([rest.slice(0, MAX_BATCH)]);
    manual.batches[1]!.finish();
    await calm();
    expect(manual.given.slice(2)).toEqual([rest.slice(MAX_BATCH)]);
  });

  it('let nobody overtake for a key who did not fit in', async () => {
    const names = Array.from({ length: MAX_BATCH }, (_, index) => `a${index}`);
    void manual.submit(...names, 'b1', 'bc1', 'c1', 'd1');
    await calm();
    expect(manual.given).toEqual([names, ['b1', 'bc1', 'c1', 'd1']]);
  });

  it('give each job its own outcome, and nobody another one', async () => {
    const submitted = manual.submit('a1', 'a2', 'b1');
    await calm();
    const refusal = new Error('only for a2');
    manual.batches[0]!.finish({ a2: { error: refusal } });
    expect(await outcomes(submitted)).toEqual(['ok', refusal, 'ok']);
    expect(await submitted[2]).toBe('b1');
    expect(manual.batches).toHaveLength(1);
  });

  it('are observed: how many they had, how long they took and how long each waited', async () => {
    (await manual.begin('a1', 'a2', 'b1')).finish();
    await calm();
    const text = await manual.metrics.registry.metrics();
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
    const submitted = manual.submit('a1', 'a2', 'a3', 'b1', 'b2');
    await calm();
    const queued = manual.submit('a4');
    const tries: string[][] = [];
    for (let next = 0; next < manual.batches.length; next += 1) {
      const { names, finish, fail } = manual.batches[next]!;
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
    const batch = await manual.begin('a1', 'b1');
    void manual.submit('a2', 'b2');
    batch.fail(new Error('poison'));
    await calm();
    expect(manual.given).toEqual([['a1', 'b1'], ['a1']]);
    manual.batches[1]!.finish();
    await calm();
    expect(manual.given).toEqual([['a1', 'b1'], ['a1'], ['b1']]);
    manual.batches[2]!.finish();
    await calm();
    expect(manual.given.at(-1)).toEqual(['a2', 'b2']);
  });

  it.each([
    ['nobody knows the outcome', new OutcomeUnknown('the connection broke')],
    ['no connection could be had', new PoolExhausted()],
  ])('is not tried again if %s: all of it fails, and the next batch goes on', async (_, error) => {
    const submitted = manual.submit('a1', 'a2', 'b1');
    await calm();
    const queued = manual.submit('a3');
    manual.batches[0]!.fail(error);
    await calm();
    expect(await outcomes(submitted)).toEqual([error, error, error]);
    expect(manual.given).toEqual([['a1', 'a2', 'b1'], ['a3']]);
    manual.batches[1]!.finish();
    expect(await outcomes(queued)).toEqual(['ok']);
  });

  it('is begun once more, all of it, if its connection was lost', async () => {
    const submitted = manual.submit('a1', 'a2', 'b1');
    await calm();
    manual.batches[0]!.fail(new DatabaseUnavailable());
    await calm();
    manual.batches[1]!.finish();
    expect(await outcomes(submitted)).toEqual(['ok', 'ok', 'ok']);
    expect(manual.given).toEqual([
      ['a1', 'a2', 'b1'],
      ['a1', 'a2', 'b1'],
    ]);
  });

  it('fails, all of it, if the database is away the second time too, and the next batch goes on', async () => {
    const error = new DatabaseUnavailable();
    const submitted = manual.submit('a1', 'a2', 'b1');
    await calm();
    const queued = manual.submit('a3');
    manual.batches[0]!.fail(new DatabaseUnavailable());
    await calm();
    manual.batches[1]!.fail(error);
    await calm();
    expect(await outcomes(submitted)).toEqual([error, error, error]);
    expect(manual.given).toHaveLength(3);
    manual.batches[2]!.finish();
    expect(await outcomes(queued)).toEqual(['ok']);
  });

  it('does not wait for locks again in its parts, once it has waited in vain', async () => {
    const overloaded = new Overloaded();
    const submitted = manual.submit('a1', 'a2', 'a3');
    await calm();
    manual.batches[0]!.fail(overloaded);
    await calm();
    manual.batches[1]!.finish();
    await calm();
    // A different failure does not make the halves of a half wait for locks again.
    manual.batches[2]!.fail(new Error('poison'));
    await calm();
    manual.batches[3]!.fail(overloaded);
    await calm();
    manual.batches[4]!.finish();
    expect(await outcomes(submitted)).toEqual(['ok', overloaded, 'ok']);
    expect(manual.batches.map(({ names, lockWait }) => [names, lockWait])).toEqual([
      [['a1', 'a2', 'a3'], 'wait'],
      [['a1'], 'skip'],
      [['a2', 'a3'], 'skip'],
      [['a2'], 'skip'],
      [['a3'], 'skip'],
    ]);
  });

  it('waits for locks in its parts if something else was the matter', async () => {
    (await manual.begin('a1', 'a2')).fail(new Error('poison'));
    await calm();
    manual.batches[1]!.finish();
    await calm();
    expect(manual.batches.map(({ lockWait }) => lockWait)).toEqual(['wait', 'wait', 'wait']);
  });

  it('lets the next batch with its keys wait for locks again', async () => {
    const batch = await manual.begin('a1');
    void manual.submit('a2');
    batch.fail(new Overloaded());
    await calm();
    expect(manual.batches.map(({ names, lockWait }) => [names, lockWait])).toEqual([
      [['a1'], 'wait'],
      [['a2'], 'wait'],
    ]);
  });

  it('answers each part when that has ended, not when the last has', async () => {
    const submitted = manual.submit('a1', 'a2', 'b1');
    await calm();
    manual.batches[0]!.fail(new Error('poison'));
    await calm();
    manual.batches[1]!.finish();
    expect(await submitted[0]).toBe('a1');
    await calm();
    expect(manual.given.at(-1)).toEqual(['a2', 'b1']);
    manual.batches[2]!.finish();
    expect(await outcomes(submitted)).toEqual(['ok', 'ok', 'ok']);
  });
});

describe('The answers of a large batch', () => {
  it('are given a few at a time, in their order, while the next batch has begun already', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `a${index}`);
    const answered: string[] = [];
    for (const one of manual.submit(...names)) {
      void one.then((name) => answered.push(name));
    }
    await calm();
    void manual.submit('a20');
    manual.batches[0]!.finish();
    await calm();
    expect(manual.given.at(-1)).toEqual(['a20']);
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
