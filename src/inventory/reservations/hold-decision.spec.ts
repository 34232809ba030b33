import { IdempotencyKeyReused, InsufficientStock, NotFound, Overloaded } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import type { KeyedRequest, StoredAnswer } from '../../platform/idempotency/idempotency-keys';
import { assertNoneOverdue, decide, judgeAtSight, shortageOf } from './hold-decision';
import type { HoldJob } from './hold-job';
import { type SeenLevel, ShortByOverdue } from './overdue';
import type { Line } from './reservation-lines';
import { type Assortment, Shelf } from './shelf';
import type { Sight } from './sight';

const ASSORTMENT: Assortment = {
  products: new Map(
    ['mug', 'pen'].map((id) => [id, { id, sku: id, name: id, price: '1.00', currency: 'EUR', isActive: true }]),
  ),
  warehouses: new Map([['main', { id: 'main', isActive: true }]]),
};

/** What each product has, and whether overdue holds may have more of it. */
function levelsOf(available: Record<string, number>, overdue: string[] = []): SeenLevel[] {
  return Object.entries(available).map(([productId, pieces]) => ({
    ...{ productId, warehouseId: 'main', available: pieces, overdueAtMost: Number(overdue.includes(productId)) },
  }));
}

function sightOf(levels: SeenLevel[], answered: Record<string, StoredAnswer> = {}): Sight {
  return { assortment: ASSORTMENT, levels, answered: new Map(Object.entries(answered)) };
}

/** A job for so many of each product; its key's body is what it wants, unless it is said otherwise. */
function aJob(wanted: Record<string, number>, key?: string, requestId = 'request'): HoldJob {
  const lines = Object.entries(wanted).map(([productId, quantity]): Line => ({ productId, quantity, prefix: '' }));
  const fingerprint = JSON.stringify(wanted);
  return {
    ...{ id: 'hold', userId: 'ada', lines, ttlSeconds: 600, orderId: null, lanes: Object.keys(wanted) },
    keyed: key === undefined ? undefined : ({ identity: key, fingerprint } as KeyedRequest),
    cause: { actor: 'user:ada', requestId },
    sequel: { write: () => [] },
    isAbandoned: () => false,
  };
}

const answerTo = (wanted: Record<string, number>): StoredAnswer => ({
  ...{ fingerprint: JSON.stringify(wanted), body: { id: 'first' }, location: '/api/reservations/first' },
});
const short = (requested: number, available: number, product = 'mug'): InsufficientStock =>
  new InsufficientStock([{ product_id: product, requested, available }]);

describe('judgeAtSight', () => {
  it('leaves open what could be had alone, even if not all of them can have it', () => {
    const jobs = [aJob({ mug: 3 }), aJob({ mug: 3 }), aJob({ mug: 1, pen: 1 })];
    expect(judgeAtSight(jobs, sightOf(levelsOf({ mug: 3, pen: 1 }))).size).toBe(0);
  });

  it('refuses what could not be had even alone, and leaves the others open', () => {
    const jobs = [aJob({ mug: 4 }), aJob({ mug: 3 }), aJob({ nothing: 1 }), aJob({ mug: 1, pen: 2 })];
    const verdicts = judgeAtSight(jobs, sightOf(levelsOf({ mug: 3, pen: 1 })));
    expect([...verdicts]).toEqual([
      [jobs[0], { error: short(4, 3) }],
      [jobs[2], { error: new NotFound('product', 'nothing') }],
      [jobs[3], { error: short(2, 1, 'pen') }],
    ]);
  });

  it('gives the first answer again, whatever there is today', () => {
    const job = aJob({ mug: 4 }, 'key');
    const verdicts = judgeAtSight([job], sightOf(levelsOf({ mug: 0 }), { key: answerTo({ mug: 4 }) }));
    expect(verdicts.get(job)).toEqual({
      result: { data: { id: 'first' }, extras: { location: '/api/reservations/first', isReplay: true } },
    });
  });

  it('refuses a key that was used before with another body, and takes other keys for new', () => {
    const [reused, fresh] = [aJob({ mug: 1 }, 'key'), aJob({ mug: 1 }, 'other')];
    const verdicts = judgeAtSight([reused, fresh], sightOf(levelsOf({ mug: 5 }), { key: answerTo({ mug: 4 }) }));
    expect([...verdicts]).toEqual([[reused, { error: new IdempotencyKeyReused() }]]);
  });
});

describe('assertNoneOverdue', () => {
  const check = (jobs: HoldJob[], levels: SeenLevel[]) => (): void =>
    assertNoneOverdue(judgeAtSight(jobs, sightOf(levels)), levels);

  it('asks for overdue holds to be expired if a job lacks what they may have, for that job', () => {
    const jobs = [aJob({ mug: 1 }, undefined, 'one'), aJob({ mug: 2 }, undefined, 'two')];
    const act = check(jobs, levelsOf({ mug: 1 }, ['mug']));
    expect(act).toThrow(ShortByOverdue);
    expect(act).toThrow(expect.objectContaining({ requestId: 'two', members: short(2, 1).members }));
  });

  it.each([
    ['nobody is short', [aJob({ mug: 1, pen: 1 })]],
    ['another product is short', [aJob({ pen: 2 }), aJob({ mug: 1 })]],
    ['a basket lacks another product than they have', [aJob({ mug: 1, pen: 2 })]],
    ['something else is the matter', [aJob({ mug: 1, nothing: 1 })]],
  ])('does not ask for it if %s', (_, jobs) => {
    expect(check(jobs, levelsOf({ mug: 1, pen: 1 }, ['mug']))).not.toThrow();
  });
});

describe('shortageOf', () => {
  it('is the error of a verdict if that is a shortage, and of no other verdict', () => {
    const error = short(2, 1);
    expect(shortageOf({ error })).toBe(error);
    expect(shortageOf({ error: new NotFound('product', 'nothing') })).toBeUndefined();
    expect(shortageOf({ result: new Answer({}) })).toBeUndefined();
    expect(shortageOf(undefined)).toBeUndefined();
  });
});

describe('decide', () => {
  const shelfOf = (available: Record<string, number>): Shelf => new Shelf(ASSORTMENT, levelsOf(available));
  const everything = (): boolean => true;

  it('gives to the first what is there, and tells each of the others what was left', () => {
    const jobs = [aJob({ mug: 2 }), aJob({ mug: 2 }), aJob({ mug: 1 }), aJob({ mug: 1 })];
    const { drafts, errors, repeats } = decide(jobs, shelfOf({ mug: 3 }), everything);
    expect([...drafts.keys()]).toEqual([jobs[0], jobs[2]]);
    expect([...errors]).toEqual([
      [jobs[1], short(2, 1)],
      [jobs[3], short(1, 0)],
    ]);
    expect(repeats.size).toBe(0);
  });

  it('lets a basket that is refused take nothing away', () => {
    const jobs = [aJob({ mug: 2, pen: 2 }), aJob({ mug: 2 })];
    const { drafts, errors } = decide(jobs, shelfOf({ mug: 2, pen: 1 }), everything);
    expect([...errors]).toEqual([[jobs[0], short(2, 1, 'pen')]]);
    expect([...drafts.keys()]).toEqual([jobs[1]]);
  });

  it('turns away whoever needs a product whose levels are not locked', () => {
    const jobs = [aJob({ mug: 1, pen: 1 }), aJob({ mug: 1 }), aJob({ pen: 1 })];
    const { drafts, errors } = decide(jobs, shelfOf({ mug: 1, pen: 1 }), (productId) => productId === 'mug');
    expect([...errors]).toEqual([
      [jobs[0], new Overloaded()],
      [jobs[2], new Overloaded()],
    ]);
    expect([...drafts.keys()]).toEqual([jobs[1]]);
  });

  it('does the work once for one key, and points the others to who did it', () => {
    const jobs = [aJob({ mug: 1 }, 'key'), aJob({ mug: 1 }, 'other'), aJob({ mug: 1 }, 'key'), aJob({ mug: 2 }, 'key')];
    const { drafts, repeats } = decide(jobs, shelfOf({ mug: 9 }), everything);
    expect([...drafts.keys()]).toEqual([jobs[0], jobs[1]]);
    expect([...repeats]).toEqual([
      [jobs[2], jobs[0]],
      [jobs[3], jobs[0]],
    ]);
  });

  it('does not let a refusal stand for a key: who repeats it is decided anew', () => {
    const jobs = [aJob({ mug: 2 }, 'key'), aJob({ mug: 1 }, 'key')];
    const { drafts, errors, repeats } = decide(jobs, shelfOf({ mug: 1 }), everything);
    expect([...errors]).toEqual([[jobs[0], short(2, 1)]]);
    expect([...drafts.keys()]).toEqual([jobs[1]]);
    expect(repeats.size).toBe(0);
  });

  it('takes jobs without a key for different ones', () => {
    const jobs = [aJob({ mug: 1 }), aJob({ mug: 1 })];
    expect(decide(jobs, shelfOf({ mug: 9 }), everything).drafts.size).toBe(2);
  });

  it('throws what is not a refusal, but a fault', () => {
    const broken = new Map([['mug', { ...ASSORTMENT.products.get('mug')!, price: 'cheap' }]]);
    const shelf = new Shelf({ ...ASSORTMENT, products: broken }, levelsOf({ mug: 1 }));
    expect(() => decide([aJob({ mug: 1 })], shelf, everything)).toThrow(RangeError);
  });
});
