import { Param, type PipeTransform } from '@nestjs/common';
import { isUUID } from 'class-validator';
import { ValidationFailed } from '../errors/domain-errors';

class UuidParameter implements PipeTransform<string, string> {
  constructor(private readonly name: string) {}

  transform(value: string): string {
    if (!isUUID(value)) {
      throw new ValidationFailed({ field: this.name, message: `${this.name} must be a UUID` });
    }
    return inOneSpelling(value);
  }
}

/** Ids in lower case, as PostgreSQL returns them; anything else unchanged. */
export function inOneSpelling(parameter: string): string {
  return isUUID(parameter) ? parameter.toLowerCase() : parameter;
}

/** The path parameter `id`, a UUID. */
export const IdParam = (): ParameterDecorator => Param('id', new UuidParameter('id'));
