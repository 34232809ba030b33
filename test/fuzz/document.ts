import Ajv2020, { type ErrorObject } from 'ajv/dist/2020';
import addFormats from 'ajv-formats';

export interface Schema {
  $ref?: string;
  type?: string | string[];
  oneOf?: Schema[];
  enum?: (string | number)[];
  format?: string;
  pattern?: string;
  example?: string | number | boolean;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  items?: Schema;
  minItems?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: unknown;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  example?: string;
  schema: Schema;
}

/** Says what is wrong with a value, or undefined. */
type Check = (value: unknown) => string | undefined;

export interface Operation {
  /** `GET /api/orders/{id}` */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body?: Schema;
  /** The fields that the body must have; all that it can have where that depends on the others. */
  readonly bodyFields: readonly string[];
  readonly isPublic: boolean;
  readonly roles?: readonly string[];
  /** By status, then by media type. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, Check>>>>;
  /** Whether the document lets this be sent as body, or as a parameter in the text of a query or header. */
  readonly checkBody: Check;
  readonly checkParameter: ReadonlyMap<string, Check>;
  /** The name of the schema that a success has as its data, or a list of. */
  readonly makes?: string;
}

interface RawOperation {
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  security?: object[];
  'x-roles'?: string[];
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}

const ROOT = 'openapi';
const JSON_TYPE = 'application/json';
/** The contract is narrower than the formats: lower case in answers, and times in UTC with milliseconds. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Every operation of the OpenAPI document, with what it takes and answers as functions that check it. */
export class ApiDocument {
  readonly operations: Operation[];
  /** A problem of any status: for what no operation answers. */
  readonly checkProblem: Check;
  private readonly answers = new Ajv2020({ strict: false, allErrors: true });
  private readonly inputs = new Ajv2020({ strict: false });
  private readonly texts = new Ajv2020({ strict: false, coerceTypes: true });

  constructor(private readonly document: { paths: Record<string, Record<string, RawOperation>> }) {
    const closed = close(document);
    for (const ajv of [this.answers, this.inputs, this.texts]) {
      addFormats(ajv);
      ajv.addSchema(closed as object, ROOT);
    }
    this.answers.addFormat('uuid', UUID).addFormat('date-time', TIME);
    this.checkProblem = this.check(this.answers, 'components', 'schemas', 'Problem');
    this.operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => this.operation(path, method, operation)),
    );
  }

  /** The schema itself, of a reference to one. */
  resolve(schema: Schema): Schema {
    return schema.$ref === undefined ? schema : at(this.document, schema.$ref.slice(2).split('/'));
  }

  private operation(path: string, method: string, raw: RawOperation): Operation {
    const here = ['paths', path, method];
    const { parameters = [], requestBody, responses } = raw;
    const body = requestBody && this.resolve(requestBody.content[JSON_TYPE]!.schema);
    const answers = Object.entries(responses).map(([status, { content = {} }]) => {
      const where = [...here, 'responses', status, 'content'];
      const checks = Object.keys(content).map((type) => [type, this.check(this.answers, ...where, type, 'schema')]);
      return [status, Object.fromEntries(checks)];
    });
    const checkParameter = parameters.map(({ name }, index): [string, Check] => [
      name.toLowerCase(),
      this.check(this.texts, ...here, 'parameters', String(index), 'schema'),
    ]);
    return {
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      parameters,
      body,
      bodyFields: body?.required ?? Object.keys(body?.properties ?? {}),
      isPublic: raw.security === undefined,
      roles: raw['x-roles'],
      answers: Object.fromEntries(answers),
      checkBody: requestBody
        ? this.check(this.inputs, ...here, 'requestBody', 'content', JSON_TYPE, 'schema')
        : (body) => (Object.keys(body as object).length === 0 ? undefined : 'it takes no body'),
      checkParameter: new Map(checkParameter),
      makes: madeBy(responses),
    };
  }

  private check(ajv: Ajv2020, ...path: string[]): Check {
    const pointer = path.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1')));
    // Within an object, because a coerced text is written back into what it stands in.
    const validate = ajv.compile({ properties: { value: { $ref: `${ROOT}#/${pointer.join('/')}` } } });
    return (value) => (validate({ value }) ? undefined : (validate.errors as ErrorObject[]).map(explain).join('; '));
  }
}

function explain({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath.replace('/value', '') || 'it'} ${message} ${JSON.stringify(params)}`;
}

/** A copy in which no object may have properties that it does not declare. */
function close(node: unknown): unknown {
  if (Array.isArray(node)) {
    return node.map(close);
  }
  if (typeof node !== 'object' || node === null) {
    return node;
  }
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, close(value)]));
  return 'properties' in copy && !('additionalProperties' in copy) ? { ...copy, additionalProperties: false } : copy;
}

function madeBy(responses: RawOperation['responses']): string | undefined {
  const [, success] = Object.entries(responses).find(([status]) => status.startsWith('2'))!;
  const data = success.content?.[JSON_TYPE]?.schema.properties?.['data'];
  return (data?.$ref ?? data?.items?.$ref)?.split('/').at(-1);
}

function at(node: unknown, path: string[]): Schema {
  return path.reduce((inner, key) => (inner as Record<string, unknown>)[key], node) as Schema;
}
