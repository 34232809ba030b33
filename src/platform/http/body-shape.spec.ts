import { MAX_DEPTH, MAX_VALUES, shapeFault } from './body-shape';

const TOO_MANY = `must not have more than ${MAX_VALUES} values`;
const TOO_DEEP = `must not be nested more than ${MAX_DEPTH} levels deep`;

const faultOf = (json: string): string | undefined => shapeFault(Buffer.from(json));
const list = (length: number, element = '0'): string => `[${Array<string>(length).fill(element).join()}]`;
const object = (length: number): string => `{${Array.from({ length }, (_, index) => `"f${index}":0`).join()}}`;
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

describe('The shape of a body', () => {
  it.each([
    ['a value alone', '1'],
    ['nothing', ''],
    ['a list as long as may be', list(MAX_VALUES - 1)],
    ['as many fields as may be', object(MAX_VALUES - 1)],
    ['as deep as may be', nested(MAX_DEPTH)],
    ['signs within strings', JSON.stringify({ a: '[{,'.repeat(5000), '[{,': '"[\\' })],
    ['a string that ends in a backslash', JSON.stringify(['\\', '"', '\\"', '[[[[[[[[[[['])],
    ['deep again and again', list(50, nested(MAX_DEPTH - 1))],
    ['what is no JSON', '}}]],,""\\'],
    ['a string without end', '"'.concat('['.repeat(100))],
    ['an escape at the end', '"\\'],
  ])('is taken with %s', (_, json) => {
    expect(faultOf(json)).toBeUndefined();
  });

  it.each([
    ['one element more', list(MAX_VALUES), TOO_MANY],
    ['one field more', object(MAX_VALUES), TOO_MANY],
    ['a field given again and again', `{${Array<string>(MAX_VALUES).fill('"a":0').join()}}`, TOO_MANY],
    ['empty lists', list(MAX_VALUES / 2, '[]'), TOO_MANY],
    ['short lists', list(MAX_VALUES / 4, list(4)), TOO_MANY],
    ['one level more', nested(MAX_DEPTH + 1), TOO_DEEP],
    ['objects in lists', '{"a":['.repeat(MAX_DEPTH), TOO_DEEP],
    ['a level more behind a string', `["\\\\\\"",${nested(MAX_DEPTH)}]`, TOO_DEEP],
  ])('is refused with %s', (_, json, fault) => {
    expect(faultOf(json)).toBe(fault);
  });
});
