import { applyDecorators, type Type as Class } from '@nestjs/common';
import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  isEmail,
  IsIn,
  IsInt,
  IsObject,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  MinLength,
  ValidateBy,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { isMoney, toCents } from '../money';
import { MarkField } from './known-fields';

/** The field may be absent. Null does not count as absent: it is refused, so that nothing is silently ignored. */
export function Optional(): PropertyDecorator {
  return ValidateIf((_object, value) => value !== undefined);
}

/** Text of limited length, without control characters: PostgreSQL refuses NUL, and the others corrupt logs. */
export function IsText(rule: { min?: number; max: number; multiline?: boolean }): PropertyDecorator {
  const refused = rule.multiline ? /^[^\p{Cs}\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$/u : /^[^\p{Cs}\p{Cc}]*$/u;
  return applyDecorators(
    IsString(),
    ...(rule.min ? [MinLength(rule.min), Matches(/\S/, { message: '$property must not be blank' })] : []),
    MaxLength(rule.max),
    Matches(refused, { message: '$property must not contain control characters' }),
  );
}

/** Any characters except half surrogate pairs, which have no UTF-8 form: another character would be stored instead. */
export function IsWellFormed(): PropertyDecorator {
  return Matches(/^\P{Cs}*$/u, { message: '$property must be well-formed Unicode' });
}

/** An email address. Half surrogate pairs are checked first, because `isEmail` throws on them. */
export function IsEmailAddress(): PropertyDecorator {
  return ValidateBy({
    name: 'isEmailAddress',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && !/\p{Cs}/u.test(value) && isEmail(value),
      defaultMessage: () => '$property must be an email address',
    },
  });
}

export function IsWholeNumber(range: { min: number; max: number }): PropertyDecorator {
  const message = `$property must be a whole number from ${range.min} to ${range.max}`;
  return applyDecorators(IsInt({ message }), Min(range.min, { message }), Max(range.max, { message }));
}

/** A whole number in the query: only digits, so that "", " 5", "0x5" and "5e0" are refused. */
export function QueryWholeNumber(range: { min: number; max: number }): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value,
    ),
    IsWholeNumber(range),
  );
}

export function QueryBoolean(): PropertyDecorator {
  const asBoolean = ({ value }: { value: unknown }): unknown =>
    value === 'true' ? true : value === 'false' ? false : value;
  return applyDecorators(Transform(asBoolean), IsBoolean({ message: '$property must be true or false' }));
}

/** One or several of these values, comma-separated or repeated; becomes a sorted list without duplicates. */
export function QueryList(values: readonly string[]): PropertyDecorator {
  const asList = ({ value }: { value: string | string[] | undefined }): string[] | undefined =>
    value === undefined ? undefined : [...new Set([value].flat().flatMap((text) => text.split(',')))].sort();
  const message = `$property must be one or several, comma-separated, of ${values.join(', ')}`;
  return applyDecorators(MarkField({ isRepeatable: true }), Transform(asList), IsIn(values, { each: true, message }));
}

/** One to `max` objects of a class. */
export function IsListOf(type: () => Class<object>, { max }: { max: number }): PropertyDecorator {
  return applyDecorators(
    ...[MarkField({ type }), Type(type), IsArray(), ArrayMinSize(1), ArrayMaxSize(max)],
    // A nested list would pass as an object without fields.
    ...[IsObject({ each: true }), ValidateNested({ each: true })],
  );
}

/** An amount of money, 0 or more, as a decimal string or a JSON number with at most two places; becomes a string. */
export function IsMoney(rule: { max: string }): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) => (typeof value === 'number' ? String(value) : value)),
    ValidateBy({
      name: 'isMoney',
      validator: {
        validate: (value: unknown) =>
          typeof value === 'string' && isMoney(value) && toCents(value) <= toCents(rule.max),
        defaultMessage: () =>
          `$property must be a decimal from 0.00 to ${rule.max} with at most two places, such as "19.90"`,
      },
    }),
  );
}

/** An RFC 3339 timestamp with offset, or a bare day `YYYY-MM-DD`. */
export function IsMomentOrDay(): PropertyDecorator {
  return ValidateBy({
    name: 'isMomentOrDay',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && momentOf(value) !== undefined,
      defaultMessage: () => '$property must be a time such as 2026-01-31T12:00:00Z or a day such as 2026-01-31',
    },
  });
}

const DAY = /^(\d{4}-\d{2}-\d{2})$/;
const MOMENT =
  /^(\d{4}-\d{2}-\d{2})[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** Parses the time in a filter; undefined if it is invalid. `isDay` marks a bare UTC day. */
export function momentOf(text: string): { at: Date; isDay: boolean } | undefined {
  const day = DAY.exec(text)?.[1] ?? MOMENT.exec(text)?.[1];
  if (day === undefined || !isCalendarDay(day)) {
    return undefined;
  }
  const at = new Date(text.toUpperCase().replace(' ', 'T').replace(':60', ':59'));
  return Number.isNaN(at.getTime()) ? undefined : { at, isDay: DAY.test(text) };
}

function isCalendarDay(day: string): boolean {
  const date = new Date(`${day}T00:00:00.000Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) && date.getUTCFullYear() > 0;
}

/** This field and `other` express the same, so it is refused if `other` is present. */
export function IsAbsentWith(other: string): PropertyDecorator {
  return ValidateBy({
    name: 'isAbsentWith',
    validator: {
      validate: (_value, args) => (args!.object as Record<string, unknown>)[other] === undefined,
      defaultMessage: () => `$property must not be given together with ${other}`,
    },
  });
}

interface RangeRule {
  readonly first: string;
  readonly last: string;
  /** Both are texts that may be malformed: their own rules refuse that. */
  readonly isCrossed: (first: string, last: string) => boolean;
  readonly message: string;
}

/** For both ends of a range, so that the error names both fields if the first is above the last. */
export function IsRangeEnd({ first, last, isCrossed, message }: RangeRule): PropertyDecorator {
  return ValidateBy({
    name: 'isRangeEnd',
    validator: {
      validate: (_value, args) => {
        const { [first]: from, [last]: to } = args!.object as Record<string, unknown>;
        return typeof from !== 'string' || typeof to !== 'string' || !isCrossed(from, to);
      },
      defaultMessage: () => message,
    },
  });
}
