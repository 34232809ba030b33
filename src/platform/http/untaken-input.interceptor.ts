import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum';
import type { FastifyRequest } from 'fastify';
import type { Observable } from 'rxjs';
import { type FieldError, ValidationFailed } from '../errors/domain-errors';
import { isObject, unknownField } from './validation.pipe';

/** The pipe sees only what a handler takes: of a route without a body or a query, every field of it is unknown. */
@Injectable()
export class UntakenInputInterceptor implements NestInterceptor {
  /** @throws ValidationFailed, after the guards and before the pipes */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { body, query } = context.switchToHttp().getRequest<FastifyRequest>();
    const errors = [
      ...(takes(context, RouteParamtypes.BODY) ? [] : fieldsOf(body)),
      ...(takes(context, RouteParamtypes.QUERY) ? [] : fieldsOf(query)),
    ];
    if (errors.length > 0) {
      throw new ValidationFailed(...errors);
    }
    return next.handle();
  }
}

function takes(context: ExecutionContext, source: RouteParamtypes): boolean {
  const { name } = context.getHandler();
  const parameters = Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), name) as object | undefined;
  return Object.keys(parameters ?? {}).some((parameter) => parameter.startsWith(`${source}:`));
}

function fieldsOf(input: unknown): FieldError[] {
  return isObject(input)
    ? Object.keys(input ?? {}).map((name) => unknownField(name))
    : [{ field: 'body', message: 'body must be a JSON object' }];
}
