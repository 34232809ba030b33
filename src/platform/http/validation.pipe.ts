import { type ArgumentMetadata, Injectable, type Type, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type FieldError, MAX_FIELD_ERRORS, ValidationFailed } from '../errors/domain-errors';
import { knownFields, pathOf } from './known-fields';

/** Checks bodies and queries against their DTO classes, and refuses every field that the class does not declare. */
@Injectable()
export class StrictValidationPipe extends ValidationPipe {
  constructor() {
    super({
      // Still needed for nested objects whose class is not declared by IsListOf.
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
    if (!isObject(value)) {
      throw new ValidationFailed({ field: metadata.type, message: `${metadata.type} must be a JSON object` });
    }
    const errors: FieldError[] = [];
    // Checked first, because class-transformer spends time on each field, even on those that are refused.
    const known = knownFields(value ?? {}, metadata.metatype as Type<object>, { place: metadata.type, errors });
    if (errors.length >= MAX_FIELD_ERRORS) {
      throw new ValidationFailed(...errors);
    }
    const dto: unknown = await super.transform(known, metadata).catch((error: unknown) => {
      throw error instanceof ValidationFailed ? new ValidationFailed(...error.members.errors, ...errors) : error;
    });
    if (errors.length > 0) {
      throw new ValidationFailed(...errors);
    }
    return dto;
  }
}

/** Whether it can have fields; undefined, a missing body, has none. */
export function isObject(value: unknown): value is object | undefined {
  return value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
}

/** One entry for every broken rule, with the path to its field: `items.0.quantity`. */
function fieldErrors(error: ValidationError, parent?: string): FieldError[] {
  const field = pathOf(error.property, parent);
  const messages = new Set(Object.values(error.constraints ?? {}));
  const own = [...messages].map((message) => ({ field, message }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, field))];
}
