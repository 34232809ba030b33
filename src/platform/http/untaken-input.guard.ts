import { type CanActivate, type ExecutionContext, Injectable, type Type } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum';
import type { FastifyRequest } from 'fastify';
import { type FieldError, ValidationFailed } from '../errors/domain-errors';
import { unknownField } from './known-fields';
import { isObject } from './validation.pipe';

type Handler = ReturnType<ExecutionContext['getHandler']>;

/**
 * The pipe sees only input that a handler declares. If a route declares no body or query, each of its fields is refused
 * here.
 */
@Injectable()
export class UntakenInputGuard implements CanActivate {
  private readonly taken = new WeakMap<Handler, Record<'body' | 'query', boolean>>();

  /** Runs after the guards that check access, and before the pipes. @throws ValidationFailed */
  canActivate(context: ExecutionContext): boolean {
    const { body, query } = context.switchToHttp().getRequest<FastifyRequest>();
    const takes = this.takenBy(context.getHandler(), context.getClass());
    const errors = [...(takes.body ? [] : fieldsOf(body)), ...(takes.query ? [] : fieldsOf(query))];
    if (errors.length > 0) {
      throw new ValidationFailed(...errors);
    }
    return true;
  }

  private takenBy(handler: Handler, controller: Type): Record<'body' | 'query', boolean> {
    let taken = this.taken.get(handler);
    if (!taken) {
      const parameters = Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, handler.name) as object | undefined;
      const takes = (source: RouteParamtypes): boolean =>
        Object.keys(parameters ?? {}).some((parameter) => parameter.startsWith(`${source}:`));
      taken = { body: takes(RouteParamtypes.BODY), query: takes(RouteParamtypes.QUERY) };
      this.taken.set(handler, taken);
    }
    return taken;
  }
}

function fieldsOf(input: unknown): FieldError[] {
  return isObject(input)
    ? Object.keys(input ?? {}).map((name) => unknownField(name))
    : [{ field: 'body', message: 'body must be a JSON object' }];
}
