import { calm, contexts, outcomes, Workshop } from '../../../test/support/workshop';
import { CannotConnect, DatabaseUnavailable, Overloaded } from '../errors/domain-errors';
import { until } from '../database/deadline';
import { log } from '../logging/logger';

const LONGEST_WAIT_MS = 10_000;

describe('The queue of a group commit', () => {
  it('refuses at once what is too much for a key, and counts it, while others are served', async () => {
    const shop = new Workshop(2);
    const first = await shop.begin('a1');
    const waiting = shop.submit('a2', 'ab1');
    const refused = shop.submit('a3', 'ac1');
    expect(await outcomes(refused)).toEqual([expect.any(Overloaded), expect.any(Overloaded)]);
    expect(await shop.refusals()).toBe(2);
    const others = shop.submit('b1', 'c1');
    await calm();
    expect(shop.given).toEqual([['a1'], ['c1']]);
    shop.batches[1]!.finish();
    first.finish();
    await calm();
    expect(shop.given.slice(2)).toEqual([['a2', 'ab1', 'b1']]);
    shop.batches[2]!.finish();
    expect(await outcomes([...waiting, ...others])).toEqual(['ok', 'ok', 'ok', 'ok']);
  });

  it('lets as many wait for a key as may, again and again', async () => {
    const shop = new Workshop(2);
    for (let round = 0; round < 3; round += 1) {
      const submitted = shop.submit('ab1', 'a2', 'a3');
      await calm();
      shop.batches[round]!.finish();
      expect(await outcomes(submitted)).toEqual(['ok', 'ok', expect.any(Overloaded)]);
      await calm();
    }
    expect(shop.queue.length).toBe(0);
  });

  it('refuses, whatever the key, when four times as many wait as may for one', async () => {
    const shop = new Workshop(2);
    const first = await shop.begin('abcd1');
    const waiting = shop.submit('a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2');
    expect(await outcomes(shop.submit('e1'))).toEqual([expect.any(Overloaded)]);
    expect(await shop.refusals()).toBe(1);
    expect(shop.queue.length).toBe(8);
    first.finish();
    await calm();
    shop.batches[1]!.finish();
    expect(await outcomes(waiting)).toEqual(waiting.map(() => 'ok'));
    await shop.begin('e2');
    expect(await shop.refusals()).toBe(1);
  });

  it('never gives to the work what nobody waits for any more', async () => {
    const shop = new Workshop();
    const first = await shop.begin('a1');
    let isAbandoned = false;
    const abandoned = shop.submitJob('a2', () => isAbandoned);
    const other = shop.submitJob('a3');
    isAbandoned = true;
    first.finish();
    await calm();
    expect(shop.given).toEqual([['a1'], ['a3']]);
    shop.batches[1]!.finish();
    expect(await outcomes([abandoned, other])).toEqual([expect.any(Overloaded), 'ok']);
    expect(await shop.refusals()).toBe(0);
    expect(shop.queue.length).toBe(0);
  });

  it('goes on after nothing was left but what nobody waits for', async () => {
    const shop = new Workshop(1);
    const first = await shop.begin('a1');
    void shop.submitJob('a2', () => true);
    first.finish();
    await calm();
    expect(shop.given).toEqual([['a1']]);
    await shop.begin('a3');
  });

  it('refuses, and counts, what has waited for more than ten seconds', async () => {
    const shop = new Workshop();
    const first = await shop.begin('a1');
    const arrivedAt = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(arrivedAt);
    try {
      const late = shop.submit('a2');
      clock.mockReturnValue(arrivedAt + 2);
      const inTime = shop.submit('a3');
      clock.mockReturnValue(arrivedAt + LONGEST_WAIT_MS + 1);
      first.finish();
      await calm();
      expect(shop.given).toEqual([['a1'], ['a3']]);
      shop.batches[1]!.finish();
      expect(await outcomes([...late, ...inTime])).toEqual([expect.any(Overloaded), 'ok']);
      expect(await shop.refusals()).toBe(1);
    } finally {
      clock.mockRestore();
    }
  });
});

describe('The deadline of a request', () => {
  it('leaves it two thirds of its time to wait: then it is refused, though the batch before it has not ended', async () => {
    const shop = new Workshop();
    const startedAt = performance.now();
    const first = await until(startedAt + 300, () => shop.begin('a1'));
    const hurried = until(startedAt + 300, () => shop.submitJob('a2'));
    const patient = shop.submitJob('a3');
    expect(await outcomes([hurried])).toEqual([expect.any(Overloaded)]);
    expect(performance.now() - startedAt).toBeLessThan(300);
    expect([await shop.refusals(), shop.queue.length]).toEqual([1, 1]);
    first.finish();
    await calm();
    shop.batches[1]!.finish();
    expect([shop.given, await patient]).toEqual([[['a1'], ['a3']], 'a3']);
  });

  it('is that of its batch, if it is the most urgent of it', async () => {
    const shop = new Workshop();
    const first = await shop.begin('a1');
    const urgent = performance.now() + 5_000;
    void shop.submit('a2');
    void until(urgent, () => shop.submitJob('a3'));
    first.finish();
    await calm();
    expect(shop.batches[1]!.deadline).toBe(urgent);
    expect(shop.batches[0]!.deadline).toBeGreaterThan(urgent);
  });
});

describe('A batch that could open no connection', () => {
  it('is not tried again, and those who wait are not kept waiting to find out the same', async () => {
    const shop = new Workshop();
    const first = await shop.begin('a1');
    const waiting = shop.submit('a2', 'a3');
    first.fail(new CannotConnect());
    expect(await outcomes(waiting)).toEqual(waiting.map(() => expect.any(CannotConnect)));
    expect([shop.given, shop.queue.length]).toEqual([[['a1']], 0]);
    const next = await shop.begin('a4');
    next.fail(new DatabaseUnavailable());
    await calm();
    expect(shop.given).toEqual([['a1'], ['a4'], ['a4']]);
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
    const shop = new Workshop();
    const arrivedAt = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(arrivedAt);
    try {
      const early = shop.submit('a1', 'a2');
      clock.mockReturnValue(arrivedAt + 2);
      const late = shop.submit('b1');
      await calm();
      shop.batches[0]!.fail(new Error('poison'));
      await calm();
      clock.mockReturnValue(arrivedAt + LONGEST_WAIT_MS + beyond);
      shop.batches[1]!.finish();
      await calm();
      expect(shop.given.slice(2)).toEqual(next);
      shop.batches[2]!.finish();
      const isLate = beyond > 0;
      expect(await outcomes([...early, ...late])).toEqual(['ok', isLate ? expect.any(Overloaded) : 'ok', 'ok']);
      expect(await shop.refusals()).toBe(Number(isLate));
    } finally {
      clock.mockRestore();
    }
  });

  it('goes on when nobody of it may wait any longer', async () => {
    const shop = new Workshop();
    const arrivedAt = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(arrivedAt);
    try {
      const submitted = shop.submit('a1', 'a2');
      await calm();
      clock.mockReturnValue(arrivedAt + LONGEST_WAIT_MS + 1);
      const next = shop.submit('a3');
      shop.batches[0]!.fail(new Error('poison'));
      expect(await outcomes(submitted)).toEqual([expect.any(Overloaded), expect.any(Overloaded)]);
      await calm();
      expect(shop.given).toEqual([['a1', 'a2'], ['a3']]);
      shop.batches[1]!.finish();
      expect(await outcomes(next)).toEqual(['ok']);
      expect(await shop.refusals()).toBe(2);
    } finally {
      clock.mockRestore();
    }
  });
});

describe('The context of a group commit', () => {
  let level: string;
  beforeEach(() => {
    level = log.level;
    log.level = 'silent';
  });
  afterEach(() => {
    log.level = level;
  });

  it('is no submitter: not for a first batch, nor for the next, nor for a half', async () => {
    const shop = new Workshop();
    void contexts.run('one', () => shop.submit('a1'));
    await calm();
    void contexts.run('two', () => shop.submit('a2', 'a3'));
    void contexts.run('three', () => shop.submit('b1'));
    await calm();
    contexts.run('four', () => shop.batches[0]!.finish());
    await calm();
    contexts.run('five', () => shop.batches[2]!.fail(new Error('poison')));
    await calm();
    expect(shop.given).toEqual([['a1'], ['b1'], ['a2', 'a3'], ['a2']]);
    expect(shop.batches.map(({ context }) => context)).toEqual(shop.batches.map(() => undefined));
  });

  it('is the own one of each submitter when it gets its result or its error', async () => {
    const shop = new Workshop();
    const met = ['a1', 'a2', 'b1'].map((name) =>
      contexts.run(name, async () => {
        const result = await shop.submitJob(name).catch((error: Error) => error.message);
        return [result, contexts.getStore()];
      }),
    );
    await calm();
    contexts.run('elsewhere', () => shop.batches[0]!.finish({ a2: { error: new Error('refused') } }));
    expect(await Promise.all(met)).toEqual([
      ['a1', 'a1'],
      ['refused', 'a2'],
      ['b1', 'b1'],
    ]);
  });
});
