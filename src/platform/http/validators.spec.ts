import 'reflect-metadata';
import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import {
  IsAbsentWith,
  IsEmailAddress,
  IsMoney,
  IsMomentOrDay,
  IsText,
  IsWholeNumber,
  momentOf,
  Optional,
  QueryBoolean,
  QueryWholeNumber,
} from './validators';

class Fields {
  @Optional() @IsText({ min: 1, max: 5 }) text?: unknown;
  @Optional() @IsText({ max: 20, multiline: true }) lines?: unknown;
  @Optional() @IsEmailAddress() email?: unknown;
  @Optional() @IsWholeNumber({ min: -2, max: 10 }) count?: unknown;
  @Optional() @QueryWholeNumber({ min: 1, max: 100 }) limit?: unknown;
  @Optional() @QueryBoolean() flag?: unknown;
  @Optional() @IsMoney({ max: '100.00' }) price?: unknown;
  @Optional() @IsMomentOrDay() since?: unknown;
  @Optional() @IsAbsentWith('text') other?: unknown;
}

function check(name: keyof Fields, value: unknown): { value: unknown; isValid: boolean } {
  const fields = plainToInstance(Fields, { [name]: value });
  return { value: fields[name], isValid: validateSync(fields).length === 0 };
}

describe('Validators', () => {
  it.each<[keyof Fields, unknown[]]>([
    ['text', ['a', 'abcde', 'äöü€', '日本', '😀', ' a ']],
    ['lines', ['', 'a\nb\r\n\tc']],
    ['email', ['ada@example.com', 'Ada.L+x@sub.example.co', 'äda@exämple.com']],
    ['count', [-2, 0, 10, 1e1]],
    ['flag', ['true', 'false']],
    ['price', ['0', '100', '99.99', 0, 100, 19.9, 0.1]],
    [
      'since',
      [
        '2026-01-31',
        '2024-02-29',
        '2026-01-31T12:00:00Z',
        '2026-01-31t12:00:00.123456789+05:30',
        '2026-12-31 23:59:60Z',
      ],
    ],
  ])('%s takes %p', (name, values) => {
    expect(values.filter((value) => !check(name, value).isValid)).toEqual([]);
  });

  it.each<[keyof Fields, unknown[]]>([
    [
      'text',
      ['', '   ', 'abcdef', 'a\nb', 'a\u0000', '\u007f', '\u0085', '\ud800', 'a\udc00', 1, null, [], ['a'], {}, true],
    ],
    ['lines', ['a\u0000b', '\u001b[31m', '\ud800', null, 'x'.repeat(21)]],
    [
      'email',
      [
        '',
        'ada',
        'a@b',
        'a b@example.com',
        'a@\ud800b.com',
        '\udc00@example.com',
        'a\u0000@example.com',
        null,
        1,
        ['a@example.com'],
      ],
    ],
    ['count', [-3, 11, 0.5, '1', NaN, Infinity, null, [1], true]],
    ['flag', ['', '1', 'TRUE', 'yes', ['true', 'true'], null]],
    ['price', ['-1', '100.01', '1.001', '', 'x', -1, 0.001, NaN, Infinity, 1e21, null, ['1'], {}, true]],
    [
      'since',
      [
        '',
        '2026',
        '2026-1-1',
        '2026-02-30',
        '2025-02-29',
        '2026-13-01',
        '0000-01-01',
        '2026-01-31T12:00:00',
        '2026-01-31T24:00:00Z',
        '2026-01-31T12:00Z',
        '2026-01-31T12:00:00+25:00',
        'yesterday',
        1,
        null,
      ],
    ],
  ])('%s refuses %p', (name, values) => {
    expect(values.filter((value) => check(name, value).isValid)).toEqual([]);
  });

  it('takes a field that is left out, but not null', () => {
    expect(validateSync(plainToInstance(Fields, {}))).toEqual([]);
    expect(check('count', undefined).isValid).toBe(true);
  });

  it.each([
    ['1', 1],
    ['100', 100],
    ['007', 7],
  ])('reads %p in the query as a number', (text, value) => {
    expect(check('limit', text)).toEqual({ value, isValid: true });
  });

  it.each(['', ' ', ' 5', '5 ', '0', '101', '-1', '1.0', '5e0', '0x5', '+5', '9'.repeat(400), '٥', ['1', '2'], 'abc'])(
    'does not read %p as a number',
    (text) => {
      expect(check('limit', text).isValid).toBe(false);
    },
  );

  it('turns flags into booleans and amounts into decimal strings', () => {
    expect([check('flag', 'true').value, check('flag', 'false').value]).toEqual([true, false]);
    expect([check('price', 19.9).value, check('price', '19.90').value]).toEqual(['19.9', '19.90']);
  });

  it('refuses one of two fields that exclude each other', () => {
    expect(validateSync(plainToInstance(Fields, { text: 'a', other: 1 })).map(({ property }) => property)).toEqual([
      'other',
    ]);
    expect(check('other', 1).isValid).toBe(true);
  });

  it.each([
    ['2026-01-31', '2026-01-31T00:00:00.000Z', true],
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z', false],
    ['2026-01-31T00:30:00+01:00', '2026-01-30T23:30:00.000Z', false],
    ['2026-01-31 12:00:00.5z', '2026-01-31T12:00:00.500Z', false],
  ])('understands %s as the moment %s', (text, at, isDay) => {
    expect(momentOf(text)).toEqual({ at: new Date(at), isDay });
  });
});
