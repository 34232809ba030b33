import fc, { type Arbitrary } from 'fast-check';
import type { ApiDocument, Schema } from './document';

/** Known only when the call is made: the id of a thing that an earlier call made, a cursor that it was given. */
export class Known {
  constructor(
    readonly kind: string,
    readonly pick: number,
  ) {}
}

/** Text that goes out as it stands: neither quoted nor percent-encoded. */
export class Verbatim {
  constructor(readonly text: string) {}
}

/** A JSON object as it is written: a key may come twice, or be `__proto__`. */
export class Fields {
  constructor(readonly entries: readonly (readonly [string, Value])[]) {}
}

export type Value = string | number | boolean | null | Known | Verbatim | Fields | readonly Value[];

export const UNKNOWN_ID = '0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f';

const TEXTS = [
  ...['', ' ', '\t', '\n', '.', '..', '../../etc/passwd', '%', '%00', '%2e%2e%2f', 'null', 'undefined', 'true'],
  ...['\u0000', 'a\u0000b', '\u0007', '\u001b[31mred\u001b[0m', '\u009b31m', '\u007f', '\u0085', '\u2028', '\ufeff'],
  ...['a\r\nX-Injected: yes', 'x\n{"level":"error","msg":"forged"}', '"}\n{"level":"fatal"}', '\r'],
  ...["'; DROP TABLE products; --", "' OR '1'='1", '1); DELETE FROM users; --', '$1', '\\', '_%_', "\\'", '{{7*7}}'],
  ...[
    '\ud800',
    'a\udfffb',
    '\ud83d',
    '\uffff',
    '\u202egnp.exe',
    'e\u0301\u0301\u0301',
    'Z\u0351\u036b\u0343',
    '\u200b',
  ],
  ...['👩‍👩‍👧‍👦', '🇩🇪', '𝕏'.repeat(64), 'İ'.repeat(60), 'ß', 'ﷺ', '١٢٣', 'ﬀ', 'ÀÉ', 'ἐν ἀρχῇ', '日本語', 'שלום'],
  ...['NaN', 'Infinity', '-Infinity', '-0', '-1', '0', '00', '1.0', '1.5', '.5', '1e3', '1e400', '0x10', '1_000', '１'],
  ...['9'.repeat(22), '9'.repeat(400), '9007199254740993', '2147483648', '-2147483649', '0.001', '999999999999.995'],
  ...['2026-02-30', '0000-01-01', '9999-12-31', '2026-01-01T24:00:00Z', '2016-12-31T23:59:60Z', '+275760-09-13'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', '[object Object]', '$ne', '<script>alert(1)</script>'],
  ...[
    UNKNOWN_ID,
    UNKNOWN_ID.toUpperCase(),
    `{${UNKNOWN_ID}}`,
    `urn:uuid:${UNKNOWN_ID}`,
    UNKNOWN_ID.replaceAll('-', ''),
  ],
  ...['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', `${UNKNOWN_ID}\n`],
  ...[65, 129, 201, 255, 256, 501, 1001, 5001].map((length) => 'x'.repeat(length)),
];

/** As they stand in JSON; some of them are not JSON. */
const NUMBERS = [
  ...['0', '-0', '-1', '1.0', '1.5', '1e0', '1E+2', '1e-7', '1e21', '1e400', '-1e400', '1e-400', '19.999', '0.1'],
  ...['2147483648', '-2147483649', '1000000001', '9007199254740993', '9'.repeat(310), '0.30000000000000004', '1e11'],
  ...['NaN', 'Infinity', '01', '+1', '.5', '1.', '0x1F', 'undefined', "'a'", '1n', '\\u0031', ''],
];

const nested = (open: string, depth: number, close: string): Verbatim =>
  new Verbatim(`${open.repeat(depth)}1${close.repeat(depth)}`);

const SHAPES: Value[] = [
  ...[null, true, false, [], [[]], [null], [''], [UNKNOWN_ID], new Fields([])],
  new Fields([['__proto__', new Fields([['role', 'admin']])]]),
  new Fields([['constructor', new Fields([['prototype', new Fields([['is_admin', true]])]])]]),
  new Fields([['$gt', '']]),
  new Fields([['toString', 'x'], ['valueOf', 1], ['length', 1e9]]), // prettier-ignore
  new Fields([['then', 1], ['toJSON', 1]]), // prettier-ignore
  nested('[', 3000, ']'),
  nested('{"items":', 3000, '}'),
  nested('[', 40_000, ']'),
  Array.from({ length: 101 }, () => new Fields([['product_id', UNKNOWN_ID], ['quantity', 1]])), // prettier-ignore
  Array.from({ length: 3000 }, (_, index) => index),
  Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => 0)),
  manyFields(300),
  manyFields(3000),
  Array.from({ length: 100 }, () => manyFields(7)),
];

function manyFields(count: number): Fields {
  return new Fields(Array.from({ length: count }, (_, index) => [`field_${index}`, index]));
}

export const hostileText: Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...TEXTS) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme' }) },
);

export const hostileValue: Arbitrary<Value> = fc.oneof(
  { weight: 5, arbitrary: hostileText },
  { weight: 3, arbitrary: fc.constantFrom(...NUMBERS).map((text) => new Verbatim(text)) },
  { weight: 3, arbitrary: fc.constantFrom(...SHAPES) },
  { weight: 1, arbitrary: fc.double().map((number) => new Verbatim(String(number))) },
  { weight: 1, arbitrary: fc.jsonValue().map((value) => new Verbatim(JSON.stringify(value))) },
);

/** Texts that are refused wherever text stands, for an otherwise good call. */
const REFUSED_TEXTS = ['a\u0000b', 'a\u001bb', '\ud800', 'a\r\nb'];

/**
 * What the document lets stand there: mostly its example, and where it means a thing, one that exists; and now and then
 * what lies just beyond.
 */
export function validValue(document: ApiDocument, name: string, given: Schema): Arbitrary<Value> {
  const schema = document.resolve(given);
  const { example, enum: choices } = schema;
  if (choices) {
    return fc.constantFrom(...choices);
  }
  const other = valueOfType(document, name, schema);
  return example === undefined
    ? other
    : fc.oneof(
        {
          weight: typeof example === 'number' ? 1 : schema.pattern === undefined ? 2 : 6,
          arbitrary: fc.constant(example),
        },
        other,
      );
}

function valueOfType(document: ApiDocument, name: string, schema: Schema): Arbitrary<Value> {
  if (schema.oneOf) {
    return fc.oneof(...schema.oneOf.map((one) => validValue(document, name, one)));
  }
  const [type, ...others] = [schema.type ?? 'string'].flat();
  const value = ((): Arbitrary<Value> => {
    switch (type) {
      case 'integer':
      case 'number':
        return numberOf(schema);
      case 'boolean':
        return fc.boolean();
      case 'array':
        return fc.array(validValue(document, name, schema.items!), { minLength: schema.minItems, maxLength: 2 });
      case 'object':
        return fieldsOf(document, schema);
      default:
        return textOf(name, schema);
    }
  })();
  return others.includes('null') ? fc.oneof({ weight: 3, arbitrary: value }, fc.constant(null)) : value;
}

/** An object with the fields that it must have and some of the others; where it need have none, with one or two. */
function fieldsOf(document: ApiDocument, { properties = {}, required = [] }: Schema): Arbitrary<Value> {
  const names = Object.keys(properties);
  const others = names.filter((name) => !required.includes(name));
  const maxLength = required.length === 0 ? 2 : others.length;
  const values = fc.tuple(...names.map((name) => validValue(document, name, properties[name]!)));
  return fc
    .tuple(values, fc.subarray(others, { maxLength: Math.min(maxLength, others.length) }))
    .map(
      ([all, some]) =>
        new Fields(
          names.flatMap((name, index) => (required.includes(name) || some.includes(name) ? [[name, all[index]!]] : [])),
        ),
    );
}

function numberOf({ minimum = 0, maximum = 3600 }: Schema): Arbitrary<number> {
  const usual = fc.integer({ min: Math.max(minimum, -5), max: Math.min(maximum, 30) });
  const limits = fc.constantFrom(minimum, maximum);
  return fc.oneof({ weight: 8, arbitrary: usual }, limits, fc.constantFrom(minimum - 1, maximum + 1));
}

function textOf(name: string, schema: Schema): Arbitrary<Value> {
  const { format, pattern, example, minLength = 1, maxLength = 100 } = schema;
  if (format === 'uuid') {
    const kind = /(product|warehouse|reservation|order|user)_id$/.exec(name)?.[1];
    const known = fc.nat(8).map((pick) => new Known(kind ?? name, pick));
    return fc.oneof({ weight: 12, arbitrary: known }, fc.uuid());
  }
  if (pattern !== undefined) {
    const beyond = fc.constantFrom('a b', '\u00e4', 'x'.repeat(maxLength + 1));
    return fc.oneof({ weight: 6, arbitrary: fc.stringMatching(new RegExp(pattern)) }, beyond);
  }
  if (typeof example === 'string') {
    // Another that looks like it: `ada+x7@example.com`, `MUG-BLUEx7`.
    const similar = fc.nat().map((nat) => example.replace(/^([^@]*)/, `$1x${nat.toString(36)}`));
    return fc.oneof({ weight: 6, arbitrary: similar }, fc.constantFrom(...REFUSED_TEXTS, 'x'.repeat(maxLength + 1)));
  }
  const text = fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength, 40) });
  const limits = fc.constantFrom(...REFUSED_TEXTS, 'x'.repeat(maxLength), 'x'.repeat(maxLength + 1));
  return fc.oneof({ weight: 5, arbitrary: text }, limits);
}
