import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { PROBLEMS, type ProblemCode } from '../errors/problem-catalogue';
import { problemExamples, problemResponse } from './api-docs';

const METHODS = ['get', 'post', 'patch', 'delete'] as const;
/** Also for operations without input: an unknown query field is refused, and so is a head that is too large. */
const EVERY_OPERATION: ProblemCode[] = [
  ...(['validation_failed', 'payload_too_large'] as const),
  ...(['rate_limited', 'internal_error', 'overloaded', 'database_unavailable'] as const),
];
/** The first two also for operations without a body: a body is read even if none is expected. */
const CHANGING: ProblemCode[] = ['malformed_json', 'unsupported_media_type', 'outcome_unknown'];
const WITH_IDEMPOTENCY_KEY: ProblemCode[] = [
  'invalid_idempotency_key',
  'idempotency_in_progress',
  'idempotency_key_reused',
];

const DESCRIPTION = `Holdfast reserves stock for a short time, turns reservations into orders, moves orders through a state
machine, and writes down who did what.

Every success is \`{ "request_id", "data" }\`, a list adds \`"page"\`; every failure is a problem document (RFC 9457).
Every POST takes an \`Idempotency-Key\`: the same key with the same body gives the first answer again.
Times are RFC 3339 in UTC, ids are UUIDs, money is a decimal string with two places.`;

interface Operation {
  parameters?: object[];
  responses: Record<string, object>;
  security?: object[];
  'x-public'?: boolean;
  'x-roles'?: string[];
  'x-problems'?: ProblemCode[];
}

/** The OpenAPI 3.1 document of the whole API. @param webhooks what the service sends by itself, by its name */
export function openApiDocument(app: INestApplication, webhooks: Record<string, object>): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Holdfast')
    .setDescription(DESCRIPTION)
    .setVersion('1')
    .setLicense('MIT', 'https://spdx.org/licenses/MIT.html')
    .setOpenAPIVersion('3.1.0')
    .addTag('Auth')
    .addTag('Products and stock')
    .addTag('Warehouses')
    .addTag('Reservations')
    .addTag('Orders')
    .addTag('Audit')
    .addTag('Events')
    .addTag('Webhooks')
    .addTag('Operations')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, 'bearer')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (controller, method) => `${controller.replace('Controller', '')}_${method}`,
  });
  for (const path of Object.values(document.paths)) {
    for (const method of METHODS) {
      const operation = path[method] as Operation | undefined;
      if (operation) {
        describe(operation, method);
      }
    }
  }
  document.components!.schemas!['Problem'] = problemSchema;
  document.components!.examples = problemExamples();
  return { ...document, webhooks };
}

function describe(operation: Operation, method: string): void {
  const codes = new Set(operation['x-problems'] ?? []);
  const add = (more: readonly ProblemCode[]): void => more.forEach((code) => codes.add(code));
  if (method !== 'get') {
    add(CHANGING);
  }
  if (method === 'post') {
    add(WITH_IDEMPOTENCY_KEY);
    (operation.parameters ??= []).push(IDEMPOTENCY_KEY);
  }
  if (!operation['x-public']) {
    add(['unauthenticated', 'issuer_unavailable']);
    operation.security = [{ bearer: [] }];
  }
  if (operation['x-roles']) {
    add(['forbidden']);
  }
  add(EVERY_OPERATION);
  Object.assign(operation.responses, problemResponses([...codes]));
  delete operation['x-problems'];
  delete operation['x-public'];
}

function problemResponses(codes: ProblemCode[]): Record<string, object> {
  const statuses = [...new Set(codes.map((code) => PROBLEMS[code].status))].sort();
  const responseOf = (status: number): object =>
    problemResponse(codes.filter((code) => PROBLEMS[code].status === status));
  return Object.fromEntries(statuses.map((status) => [String(status), responseOf(status)]));
}

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description:
    'Requests repeated with the same key take effect once; they get the first answer again, with `Idempotent-Replayed: true`. Keys are kept for 24 hours.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
};

const problemSchema = {
  type: 'object',
  description: 'A problem document (RFC 9457), with the additional members of its code.',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'request_id'],
  properties: {
    type: { type: 'string', description: 'Path of a page about this problem.' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string', description: 'Path of the request.' },
    code: { type: 'string', enum: Object.keys(PROBLEMS) },
    request_id: { type: 'string', format: 'uuid' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'message'],
        properties: { field: { type: 'string' }, message: { type: 'string' } },
      },
    },
    shortages: {
      type: 'array',
      items: {
        type: 'object',
        required: ['product_id', 'requested', 'available'],
        properties: {
          product_id: { type: 'string', format: 'uuid' },
          warehouse_id: { type: 'string', format: 'uuid' },
          requested: { type: 'integer' },
          available: { type: 'integer' },
        },
      },
    },
    reservation_status: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    allowed: { type: 'array', items: { type: 'string' } },
    field: { type: 'string' },
    current_version: { type: 'integer' },
    oldest_cursor: { type: 'string' },
  },
};
