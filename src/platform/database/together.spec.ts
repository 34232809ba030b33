import { together } from './together';

/** A promise that the test settles. */
function pending<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((onResult, onError) => {
    resolve = onResult;
    reject = onError;
  });
  return { promise, resolve, reject };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Statements that are waited for together', () => {
  it('give their results in their order, whichever comes first, and what is no promise as it is', async () => {
    const [slow, quick] = [pending<string>(), pending<number>()];
    const results = together([slow.promise, undefined, quick.promise, 'as it is']);
    quick.resolve(2);
    await nextTurn();
    slow.resolve('one');
    expect(await results).toEqual(['one', undefined, 2, 'as it is']);
  });

  it('may be none', async () => {
    expect(await together([])).toEqual([]);
  });

  it('fail with the error of the first in their order, not in time, and only when all have ended', async () => {
    const [one, two, three, four] = [pending(), pending(), pending(), pending()];
    const [cause, effect] = [new Error('the cause'), new Error('its effect')];
    let failure: unknown;
    const failing = together([one, two, three, four].map(({ promise }) => promise)).catch((error: unknown) => {
      failure = error;
    });
    three.reject(effect);
    await nextTurn();
    one.resolve(1);
    two.reject(cause);
    await nextTurn();
    expect(failure).toBeUndefined();
    four.resolve(4);
    await failing;
    expect(failure).toBe(cause);
  });
});
