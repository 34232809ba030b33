import { type ArgumentMetadata, Injectable, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type FieldError, ValidationFailed } from '../errors/domain-errors';

/** Longer than any list that the contract knows. */
const MAX_LIST_LENGTH = 100;

/** Checks bodies and queries against their DTO classes, and refuses every field that the class does not declare. */
@Injectable()
export class StrictValidationPipe extends ValidationPipe {
  constructor() {
    super({
      whitelist: true,
      forbidNonWhitelisted: true,
      transform: true,
      exceptionFactory: (errors) => new ValidationFailed(...errors.flatMap((error) => fieldErrors(error))),
    });
  }

  /** @throws ValidationFailed with all broken rules at once */
  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (metadata.type !== 'body' && metadata.type !== 'query') {
      return value;
    }
    if (metadata.type === 'body' && !isObject(value)) {
      throw new ValidationFailed({ field: 'body', message: 'body must be a JSON object' });
    }
    assertShortLists(value);
    try {
      const ignored = ignoredFields(value);
      const dto: unknown = await super.transform(value ?? {}, metadata).catch((error: unknown) => {
        throw error instanceof ValidationFailed ? new ValidationFailed(...error.members.errors, ...ignored) : error;
      });
      if (ignored.length > 0) {
        throw new ValidationFailed(...ignored);
      }
      return dto;
    } catch (error) {
      // Nested values are walked recursively, by class-transformer too.
      throw error instanceof RangeError
        ? new ValidationFailed({ field: metadata.type, message: `${metadata.type} is nested too deeply` })
        : error;
    }
  }
}

/** Before anything looks at the elements: each of them would be transformed and validated first. */
function assertShortLists(value: unknown): void {
  for (const [field, list] of Object.entries(value ?? {})) {
    if (Array.isArray(list) && list.length > MAX_LIST_LENGTH) {
      throw new ValidationFailed({ field, message: `${field} must contain no more than ${MAX_LIST_LENGTH} elements` });
    }
  }
}

/** Whether it can hold fields. No body at all holds none. */
export function isObject(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
}

/** One entry for every broken rule, with the path to its field: `items.0.quantity`. */
function fieldErrors(error: ValidationError, parent?: string): FieldError[] {
  const field = pathOf(error.property, parent);
  const messages = new Set(Object.values(error.constraints ?? {}));
  const own = [...messages].map((message) => ({ field, message }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, field))];
}

/** class-transformer drops fields with the name of a member of every object, such as `toString`, and Nest `prototype`. */
function ignoredFields(value: unknown, parent?: string): FieldError[] {
  if (typeof value !== 'object' || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([name, nested]) => {
    const field = pathOf(name, parent);
    return name in Object.prototype || name === 'prototype'
      ? [unknownField(name, field)]
      : ignoredFields(nested, field);
  });
}

/** A parent may be called ''. */
function pathOf(name: string, parent?: string): string {
  return parent === undefined ? name : `${parent}.${name}`;
}

/** The entry for a field that nobody asks for, in the words of class-validator. */
export function unknownField(name: string, field = name): FieldError {
  return { field, message: `property ${name} should not exist` };
}
