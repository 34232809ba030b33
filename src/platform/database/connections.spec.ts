import { DatabaseError } from 'pg';
import type { DataSource } from 'typeorm';
import { CannotConnect, DatabaseUnavailable, PoolExhausted } from '../errors/domain-errors';
import { type Connection, Connections } from './connections';

const aClient = { dropOldPlans: () => undefined };

/** A request to the pool, which the test answers. */
interface Asked {
  readonly gets: () => void;
  readonly fails: (error: Error) => void;
  readonly released: jest.Mock;
}

describe('Connections', () => {
  let asked: Asked[];
  let taken: Connection[];
  let connections: Connections;
  const soon = (): number => performance.now() + 60_000;

  beforeEach(() => {
    asked = [];
    taken = [];
    connections = new Connections({ createQueryRunner } as unknown as DataSource);
  });

  // Each connection has a timer, which must not outlive the test.
  afterEach(async () => {
    asked.forEach(({ fails }) => fails(new Error('The test is over')));
    await Promise.all(taken.map((connection) => connection.release()));
  });

  function createQueryRunner(): object {
    const released = jest.fn(async () => undefined);
    return {
      connect: () =>
        new Promise((resolve, reject) => asked.push({ gets: () => resolve(aClient), fails: reject, released })),
      release: released,
      isTransactionActive: false,
    };
  }

  /** Starts so many waiting requests; returns the state of each: `waits`, `has one` or its error. */
  function wait(count: number, deadline = soon()): () => Promise<unknown[]> {
    const outcomes: unknown[] = Array<string>(count).fill('waits');
    outcomes.forEach((_, index) => {
      const keep = (outcome: unknown) => (outcomes[index] = outcome);
      connections.take(deadline).then((connection) => {
        taken.push(connection);
        keep('has one');
      }, keep);
    });
    return async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return outcomes;
    };
  }

  it('tells everybody who waits that the server is away when one could not connect', async () => {
    const outcomes = wait(3);
    asked[1]!.fails(new Error('timeout expired'));
    expect(await outcomes()).toEqual([1, 2, 3].map(() => expect.any(CannotConnect)));
  });

  it('tells him alone while somebody has a connection', async () => {
    const having = connections.take(soon());
    asked[0]!.gets();
    const connection: Connection = await having;
    const outcomes = wait(2);
    asked[1]!.fails(new Error('timeout expired'));
    expect(await outcomes()).toEqual([expect.any(DatabaseUnavailable), 'waits']);
    expect((await outcomes())[0]).not.toBeInstanceOf(CannotConnect);
    await connection.release();
    const later = wait(1);
    asked[3]!.fails(new Error('timeout expired'));
    expect([await outcomes(), await later()].flat()).toEqual([
      expect.any(DatabaseUnavailable),
      ...[1, 2].map(() => expect.any(CannotConnect)),
    ]);
  });

  it('tells him alone when the server has too many clients: others may get one that comes free', async () => {
    const outcomes = wait(2);
    asked[0]!.fails(Object.assign(new DatabaseError('too many clients', 0, 'error'), { code: '53300' }));
    asked[1]!.gets();
    expect(await outcomes()).toEqual([expect.any(PoolExhausted), 'has one']);
  });

  it('are waited for until the deadline, and one that comes later goes back', async () => {
    await expect(connections.take(performance.now() + 20)).rejects.toBeInstanceOf(PoolExhausted);
    expect(asked[0]!.released).not.toHaveBeenCalled();
    asked[0]!.gets();
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked[0]!.released).toHaveBeenCalledTimes(1);
  });

  it('are not asked for when the deadline is past', async () => {
    await expect(connections.take(performance.now() - 1)).rejects.toBeInstanceOf(DatabaseUnavailable);
    expect(asked).toEqual([]);
  });
});
