import { applyDecorators, type Type } from '@nestjs/common';
import { ApiExtension, ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { PROBLEMS, type ProblemCode, problemType } from '../errors/problem-catalogue';

const REQUEST_ID = {
  type: 'string',
  format: 'uuid',
  description: 'The same id as in the header X-Request-Id, in the log and in audit rows.',
};
const EXAMPLE_ID = '0199d1a2-7c3e-7b44-9f0e-3a5b1c2d4e6f';

/** Documents a success whose `data` is one `model`. */
export function ApiData(model: Type, description: string, status = 200): MethodDecorator {
  return envelopeResponse(model, { description, status, data: { $ref: getSchemaPath(model) } });
}

/** Documents a success that is one page of a list of `model`. */
export function ApiPage(model: Type, description: string): MethodDecorator {
  const page = {
    type: 'object',
    required: ['limit', 'next_cursor'],
    properties: {
      limit: { type: 'integer' },
      next_cursor: { type: ['string', 'null'], description: 'The cursor of the next page; null on the last one.' },
      estimated_count: {
        type: 'integer',
        minimum: 0,
        description: 'Only with `count=estimated`: the approximate number of items on all pages, from statistics.',
      },
    },
  };
  return envelopeResponse(model, {
    description,
    status: 200,
    data: { type: 'array', items: { $ref: getSchemaPath(model) } },
    more: { page },
  });
}

interface Envelope {
  description: string;
  status: number;
  data: object;
  more?: Record<string, object>;
}

function envelopeResponse(model: Type, { description, status, data, more = {} }: Envelope): MethodDecorator {
  const schema = {
    type: 'object',
    required: ['request_id', 'data', ...Object.keys(more)],
    properties: { request_id: REQUEST_ID, data, ...more },
  };
  return applyDecorators(ApiExtraModels(model), ApiResponse({ status, description, schema: schema }));
}

/** Documents the failures specific to this operation; `openapi.ts` adds those of its kind of operation. */
export const ApiProblems = (...codes: ProblemCode[]): MethodDecorator => ApiExtension('x-problems', codes);

/** The OpenAPI response for the problems of one status. */
export function problemResponse(codes: readonly ProblemCode[]): object {
  return {
    description: codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(' '),
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
      },
    },
  };
}

/** An example of every problem, which the responses reference. */
export function problemExamples(): Record<string, object> {
  return Object.fromEntries(
    (Object.keys(PROBLEMS) as ProblemCode[]).map((code) => {
      const { status, title, meaning } = PROBLEMS[code];
      const members = MEMBERS[code] ?? {};
      return [
        code,
        {
          value: {
            type: problemType(code),
            title,
            status,
            detail: meaning,
            instance: '/api/…',
            code,
            request_id: EXAMPLE_ID,
            ...members,
          },
        },
      ];
    }),
  );
}

const MEMBERS: Partial<Record<ProblemCode, object>> = {
  validation_failed: {
    errors: [{ field: 'items.0.quantity', message: 'quantity must be a whole number from 1 to 1000000' }],
  },
  insufficient_stock: { shortages: [{ product_id: EXAMPLE_ID, requested: 3, available: 1 }] },
  stock_level_full: {
    levels: [{ product_id: EXAMPLE_ID, warehouse_id: EXAMPLE_ID, quantity: 3, room: 1 }],
  },
  reservation_not_active: { reservation_status: 'expired' },
  invalid_transition: { from: 'shipped', to: 'cancelled', allowed: ['delivered'] },
  duplicate: { field: 'sku' },
  version_mismatch: { current_version: 3 },
  cursor_expired: { oldest_cursor: 'MS40Mg' },
};
