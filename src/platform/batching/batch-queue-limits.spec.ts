import { calm, contexts, outcomes, ManualBatches } from '../../../test/support/manual-batches';
import { CannotConnect, DatabaseUnavailable, Overloaded } from '../errors/domain-errors';
import { until } from '../database/deadline';
import { log } from '../logging/logger';

const LONGEST_WAIT_MS = 10_000;

describe('A batch queue', () => {
  it('refuses at once what is too much for a key, and counts it, while others are served', async () => {
    const manual = new ManualBatches(2);
    const first = await manual.begin('a1');
    const waiting = manual.submit('a2', 'ab1');
    const refused = manual.submit('a3', 'ac1');
    expect(await outcomes(refused)).toEqual([expect.any(Overloaded), expect.any(Overloaded)]);
    expect(await manual.refusals()).toBe(2);
    const others = manual.submit('b1', 'c1');
    await calm();
    expect(manual.given).toEqual([['a1'], ['c1']]);
    manual.batches[1]!.finish();
    first.finish();
    await calm();
    expect(manual.given.slice(2)).toEqual([['a2', 'ab1', 'b1']]);
    manual.batches[2]!.finish();
    expect(await outcomes([...waiting, ...others])).toEqual(['ok', 'ok', 'ok', 'ok']);
  });

  it('lets as many wait for a key as may, again and again', async () => {
    const manual = new ManualBatches(2);
    for (let round = 0; round < 3; round += 1) {
      const submitted = manual.submit('ab1', 'a2', 'a3');
      await calm();
      manual.batches[round]!.finish();
      expect(await outcomes(submitted)).toEqual(['ok', 'ok', expect.any(Overloaded)]);
      await calm();
    }
    expect(manual.queue.length).toBe(0);
  });

  it('refuses, whatever the key, when four times as many wait as may for one', async () => {
    const manual = new ManualBatches(2);
    const first = await manual.begin('abcd1');
    const waiting = manual.submit('a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2');
    expect(await outcomes(manual.submit('e1'))).toEqual([expect.any(Overloaded)]);
    expect(await manual.refusals()).toBe(1);
    expect(manual.queue.length).toBe(8);
    first.finish();
    await calm();
    manual.batches[1]!.finish();
    expect(await outcomes(waiting)).toEqual(waiting.map(() => 'ok'));
    await manual.begin('e2');
    expect(await manual.refusals()).toBe(1);
  });

  it('never gives to the work what nobody waits for any more', async () => {
    const manual = new ManualBatches();
    const first = await manual.begin('a1');
    let isAbandoned = false;
    const abandoned = manual.submitJob('a2', () => isAbandoned);
    const other = manual.submitJob('a3');
    isAbandoned = true;
    first.finish();
    await calm();
    expect(manual.given).toEqual([['a1'], ['a3']]);
    manual.batches[1]!.finish();
    expect(await outcomes([abandoned, other])).toEqual([expect.any(Overloaded), 'ok']);
    expect(await manual.refusals()).toBe(0);
    expect(manual.queue.length).toBe(0);
  });

  it('goes on after nothing was left but what nobody waits for', async () => {
    const manual = new ManualBatches(1);
    const first = await manual.begin('a1');
    void manual.submitJob('a2', () => true);
    first.finish();
    await calm();
    expect(manual.given).toEqual([['a1']]);
    await manual.begin('a3');
  });

  it('refuses, and counts, what has waited for more than ten seconds', async () => {
    const manual = new ManualBatches();
    const first = await manual.begin('a1');
    const arrivedAt = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(arrivedAt);
    try {
      const late = manual.submit('a2');
      clock.mockReturnValue(arrivedAt + 2);
      const inTime = manual.submit('a3');
      clock.mockReturnValue(arrivedAt + LONGEST_WAIT_MS + 1);
      first.finish();
      await calm();
      expect(manual.given).toEqual([['a1'], ['a3']]);
      manual.batches[1]!.finish();
      expect(await outcomes([...late, ...inTime])).toEqual([expect.any(Overloaded), 'ok']);
      expect(await manual.refusals()).toBe(1);
    } finally {
      clock.mockRestore();
    }
  });
});

describe('The deadline of a request', () => {
  it('leaves it two thirds of its time to wait: then it is refused, though the batch before it has not ended', async () => {
    const manual = new ManualBatches();
    const startedAt = performance.now();
    const first = await until(startedAt + 300, () => manual.begin('a1'));
    const hurried = until(startedAt + 300, () => manual.submitJob('a2'));
    const patient = manual.submitJob('a3');
    expect(await outcomes([hurried])).toEqual([expect.any(Overloaded)]);
    expect(performance.now() - startedAt).toBeLessThan(300);
    expect([await manual.refusals(), manual.queue.length]).toEqual([1, 1]);
    first.finish();
    await calm();
    manual.batches[1]!.finish();
    expect([manual.given, await patient]).toEqual([[['a1'], ['a3']], 'a3']);
  });

  it('is that of its batch, if it is the most urgent of it', async () => {
    const manual = new ManualBatches();
    const first = await manual.begin('a1');
    const urgent = performance.now() + 5_000;
    void manual.submit('a2');
    void until(urgent, () => manual.submitJob('a3'));
    first.finish();
    await calm();
    expect(manual.batches[1]!.deadline).toBe(urgent);
    expect(manual.batches[0]!.deadline).toBeGreaterThan(urgent);
  });
});

describe('A batch that could open no connection', () => {
  it('is not tried again, and those who wait are not kept waiting to find out the same', async () => {
    const manual = new ManualBatches();
    const first = await manual.begin('a1');
    const waiting = manual.submit('a2', 'a3');
    first.fail(new CannotConnect());
    expect(await outcomes(waiting)).toEqual(waiting.map(() => expect.any(CannotConnect)));
    expect([manual.given, manual.queue.length]).toEqual([[['a1']], 0]);
    const next = await manual.begin('a4');
    next.fail(new DatabaseUnavailable());
    await calm();
    expect(manual.given).toEqual([['a1'], ['a4'], ['a4']]);
  });
});

describe('A batch that fails as a whole after a long wait', () => {
  let level: string;
  beforeEach(() => {
    level = log.level;
    log.level = 'silent';
  });
  afterEach(() => {
    log.level = level;
  });

  it.each<[string, number, string[][]]>([
    ['refuses, and counts, those in its parts who have waited for more than ten seconds', 1, [['b1']]],
    ['carries on with its parts as long as they may wait', -1, [['a2', 'b1']]],
  ])('%s', async (_, beyond, next) => {
    const manual = new ManualBatches();
    const arrivedAt = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(arrivedAt);
    try {
      const early = manual.submit('a1', 'a2');
      clock.mockReturnValue(arrivedAt + 2);
      const late = manual.submit('b1');
      await calm();
      manual.batches[0]!.fail(new Error('poison'));
      await calm();
      clock.mockReturnValue(arrivedAt + LONGEST_WAIT_MS + beyond);
      manual.batches[1]!.finish();
      await calm();
      expect(manual.given.slice(2)).toEqual(next);
      manual.batches[2]!.finish();
      const isLate = beyond > 0;
      expect(await outcomes([...early, ...late])).toEqual(['ok', isLate ? expect.any(Overloaded) : 'ok', 'ok']);
      expect(await manual.refusals()).toBe(Number(isLate));
    } finally {
      clock.mockRestore();
    }
  });

  it('goes on when nobody of it may wait any longer', async () => {
    const manual = new ManualBatches();
    const arrivedAt = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(arrivedAt);
    try {
      const submitted = manual.submit('a1', 'a2');
      await calm();
      clock.mockReturnValue(arrivedAt + LONGEST_WAIT_MS + 1);
      const next = manual.submit('a3');
      manual.batches[0]!.fail(new Error('poison'));
      expect(await outcomes(submitted)).toEqual([expect.any(Overloaded), expect.any(Overloaded)]);
      await calm();
      expect(manual.given).toEqual([['a1', 'a2'], ['a3']]);
      manual.batches[1]!.finish();
      expect(await outcomes(next)).toEqual(['ok']);
      expect(await manual.refusals()).toBe(2);
    } finally {
      clock.mockRestore();
    }
  });
});

describe('The context of a batch', () => {
  let level: string;
  beforeEach(() => {
    level = log.level;
    log.level = 'silent';
  });
  afterEach(() => {
    log.level = level;
  });

  it('is no submitter: not for a first batch, nor for the next, nor for a half', async () => {
    const manual = new ManualBatches();
    void contexts.run('one', () => manual.submit('a1'));
    await calm();
    void contexts.run('two', () => manual.submit('a2', 'a3'));
    void contexts.run('three', () => manual.submit('b1'));
    await calm();
    contexts.run('four', () => manual.batches[0]!.finish());
    await calm();
    contexts.run('five', () => manual.batches[2]!.fail(new Error('poison')));
    await calm();
    expect(manual.given).toEqual([['a1'], ['b1'], ['a2', 'a3'], ['a2']]);
    expect(manual.batches.map(({ context }) => context)).toEqual(manual.batches.map(() => undefined));
  });

  it('is the own one of each submitter when it gets its result or its error', async () => {
    const manual = new ManualBatches();
    const met = ['a1', 'a2', 'b1'].map((name) =>
      contexts.run(name, async () => {
        const result = await manual.submitJob(name).catch((error: Error) => error.message);
        return [result, contexts.getStore()];
      }),
    );
    await calm();
    contexts.run('elsewhere', () => manual.batches[0]!.finish({ a2: { error: new Error('refused') } }));
    expect(await Promise.all(met)).toEqual([
      ['a1', 'a1'],
      ['refused', 'a2'],
      ['b1', 'b1'],
    ]);
  });
});
