import { prepared } from './prepared';

/** What the driver gets; TypeORM treats it as text. */
const named = (text: string) => prepared(text) as unknown as { name: string; text: string };

describe('A prepared statement', () => {
  it('has one name for each text, and no other text has it', () => {
    const texts = ['SELECT 1', 'SELECT 2', 'SELECT 1 ', 'select 1'];
    const first = texts.map(named);
    expect(texts.map(named)).toEqual(first);
    expect(new Set(first.map(({ name }) => name)).size).toBe(texts.length);
    expect(first.map(({ text }) => text)).toEqual(texts);
  });

  it('has a name that PostgreSQL does not cut off', () => {
    expect(named(`SELECT ${'x'.repeat(1000)}`).name.length).toBeLessThan(64);
  });
});
