import type { Type } from '@nestjs/common';
import { getMetadataStorage } from 'class-validator';
import type { FieldError } from '../errors/domain-errors';

/** What a DTO class declares about a field besides its validation rules. */
interface Field {
  /** The class of nested objects. */
  readonly type?: () => Type<object>;
  /** Whether a query may name it more than once. */
  readonly isRepeatable?: boolean;
}

/** Where fields come from, and the errors found so far. */
interface Source {
  readonly place: 'body' | 'query';
  readonly errors: FieldError[];
}

const SINGLE = { body: 'must be a single value', query: 'must be given once' };
const MARK = 'holdfast:field';
const fieldsByClass = new WeakMap<Type<object>, ReadonlyMap<string, Field>>();

/** Declares about a field what class-validator's rules do not. */
export function MarkField(field: Field): PropertyDecorator {
  return Reflect.metadata(MARK, field);
}

/**
 * A copy with only the fields that the DTO class declares, at every level. Any other field becomes an error and is not
 * inspected further; so does a list or an object in the place of a single value.
 * @param parent the path of the object that has the fields
 */
export function knownFields(input: object, type: Type<object>, source: Source, parent?: string): object {
  const fields = fieldsOf(type);
  const known: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(input)) {
    const [field, path] = [fields.get(name), pathOf(name, parent)];
    if (field === undefined) {
      source.errors.push(unknownField(name, path));
    } else if (field.type) {
      known[name] = knownWithin(value, field.type(), source, path);
    } else if (typeof value === 'object' && value !== null && !field.isRepeatable) {
      source.errors.push({ field: path, message: `${name} ${SINGLE[source.place]}` });
    } else {
      known[name] = value;
    }
  }
  return known;
}

function knownWithin(value: unknown, type: Type<object>, source: Source, path: string): unknown {
  if (Array.isArray(value)) {
    return value.map((element, index) => knownWithin(element, type, source, pathOf(String(index), path)));
  }
  return typeof value === 'object' && value !== null ? knownFields(value, type, source, path) : value;
}

/** The fields that have a rule, including inherited ones. */
function fieldsOf(type: Type<object>): ReadonlyMap<string, Field> {
  let fields = fieldsByClass.get(type);
  if (!fields) {
    const rules = getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
    const markOf = (name: string): Field => (Reflect.getMetadata(MARK, type.prototype as object, name) ?? {}) as Field;
    fields = new Map(rules.map(({ propertyName }) => [propertyName, markOf(propertyName)]));
    fieldsByClass.set(type, fields);
  }
  return fields;
}

export function pathOf(name: string, parent?: string): string {
  return parent === undefined ? name : `${parent}.${name}`;
}

/** The error entry for an unknown field, in class-validator's words. */
export function unknownField(name: string, field = name): FieldError {
  return { field, message: `property ${name} should not exist` };
}
