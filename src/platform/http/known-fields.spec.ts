import 'reflect-metadata';
import type { FieldError } from '../errors/domain-errors';
import { knownFields } from './known-fields';
import { IsListOf, IsText, IsWholeNumber, Optional, QueryList } from './validators';

class Line {
  @IsText({ max: 5 }) sku!: string;
  @Optional() @IsWholeNumber({ min: 1, max: 5 }) quantity?: number;
}

class Base {
  @Optional() @IsText({ max: 5 }) note?: string;
}

class Body extends Base {
  @Optional() @IsText({ max: 5 }) name?: string;
  @Optional() @IsListOf(() => Line, { max: 3 }) items?: Line[];
  @Optional() @QueryList(['a', 'b']) status?: string[];
}

function split(input: object, place: 'body' | 'query' = 'body'): { known: object; errors: FieldError[] } {
  const errors: FieldError[] = [];
  return { known: knownFields(input, Body, { place, errors }), errors };
}

const unknown = (field: string, name = field): FieldError => ({ field, message: `property ${name} should not exist` });

describe('The known fields', () => {
  it.each([
    ['of the class, of that above it, and of its lists', { note: 'a', name: 'b', items: [{ sku: 'c', quantity: 1 }] }],
    ['that are wrong in themselves', { name: null, note: 1, items: [null, 1, 'x', []] }],
    ['where a list of objects was meant', { items: { sku: 'a' } }],
    ['where nothing was given', {}],
  ])('are all that is there %s', (_, input) => {
    expect(split(input)).toEqual({ known: input, errors: [] });
  });

  it('are apart from the others, at every level', () => {
    const items = [{ sku: 'a', colour: 'red' }, [{ size: 1 }]];
    expect(split({ name: 'a', colour: { deep: { deeper: 1 } }, items })).toEqual({
      known: { name: 'a', items: [{ sku: 'a' }, [{}]] },
      errors: [unknown('colour'), unknown('items.0.colour', 'colour'), unknown('items.1.0.size', 'size')],
    });
  });

  it.each(['__proto__', 'constructor', 'toString', 'prototype', ''])('are not called %p', (name) => {
    const input = JSON.parse(`{"${name}":1,"items":[{"${name}":1}]}`) as object;
    const { known, errors } = split(input);
    expect(errors).toEqual([unknown(name), unknown(`items.0.${name}`, name)]);
    expect([Object.keys(known), Object.getPrototypeOf(known)]).toEqual([['items'], Object.prototype]);
  });

  it('are single values, unless the class says otherwise', () => {
    const message = 'name must be a single value';
    expect(split({ name: { a: 1 } })).toEqual({ known: {}, errors: [{ field: 'name', message }] });
    expect(split({ name: [] })).toEqual({ known: {}, errors: [{ field: 'name', message }] });
    expect(split({ items: [{ sku: ['a'] }] })).toEqual({
      known: { items: [{}] },
      errors: [{ field: 'items.0.sku', message: 'sku must be a single value' }],
    });
  });

  it('are given once in a query, unless the class says otherwise', () => {
    expect(split({ name: ['a', 'a'], status: ['a', 'a'] }, 'query')).toEqual({
      known: { status: ['a', 'a'] },
      errors: [{ field: 'name', message: 'name must be given once' }],
    });
  });
});
