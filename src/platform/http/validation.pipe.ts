import { type ArgumentMetadata, Injectable, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type FieldError, ValidationFailed } from '../errors/domain-errors';

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
    if (metadata.type === 'body' && !isObject(value)) {
      throw new ValidationFailed({ field: 'body', message: 'body must be a JSON object' });
    }
    try {
      return await super.transform(value ?? {}, metadata);
    } catch (error) {
      // class-transformer walks nested values recursively.
      throw error instanceof RangeError ? new ValidationFailed({ field: 'body', message: 'body is nested too deeply' }) : error;
    }
  }
}

function isObject(value: unknown): boolean {
  return value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value));
}

/** One entry for every broken rule, with the path to its field: `items.0.quantity`. */
function fieldErrors(error: ValidationError, parent = ''): FieldError[] {
  const field = parent === '' ? error.property : `${parent}.${error.property}`;
  const own = Object.values(error.constraints ?? {}).map((message) => ({ field, message }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, field))];
}
