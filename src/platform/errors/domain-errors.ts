import type { ProblemCode } from './problem-catalogue';

/** A failure defined by the API contract: its code, members and headers. */
export abstract class DomainError extends Error {
  abstract readonly code: ProblemCode;
  /** Written beside `code` in the answer, so its names are snake_case. */
  readonly members: Readonly<Record<string, unknown>> = {};
  readonly headers: Readonly<Record<string, string>> = {};

  constructor(message?: string, options?: ErrorOptions) {
    // It is answered, not debugged: capturing a stack trace would be the most expensive part of a refusal.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, options);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

export interface FieldError {
  field: string;
  message: string;
}

/** A body with thousands of wrong fields must not cause an answer of megabytes. */
export const MAX_FIELD_ERRORS = 200;

export class ValidationFailed extends DomainError {
  readonly code = 'validation_failed';
  override readonly members: { errors: FieldError[] };

  constructor(...errors: FieldError[]) {
    const [first] = errors;
    super(`${first?.field}: ${first?.message}${errors.length > 1 ? `; and ${errors.length - 1} more` : ''}`);
    this.members = { errors: errors.slice(0, MAX_FIELD_ERRORS) };
  }
}

export class MalformedJson extends DomainError {
  readonly code = 'malformed_json';
}

export class InvalidIdempotencyKey extends DomainError {
  readonly code = 'invalid_idempotency_key';
  override readonly message = 'Idempotency-Key must have 1 to 255 visible ASCII characters';
}

export class Unauthenticated extends DomainError {
  readonly code = 'unauthenticated';
  override readonly headers = { 'WWW-Authenticate': 'Bearer' };

  constructor(detail = 'The request needs a valid bearer token') {
    super(detail);
  }
}

export class Forbidden extends DomainError {
  readonly code = 'forbidden';

  constructor(detail = 'Your role may not do this') {
    super(detail);
  }
}

export class NotFound extends DomainError {
  readonly code = 'not_found';

  /** @param thing what was looked for, as a reader would call it: "product", "order" */
  constructor(thing: string, id?: string) {
    super(id === undefined ? `There is no ${thing}` : `There is no ${thing} ${id}`);
  }
}

export class MethodNotAllowed extends DomainError {
  readonly code = 'method_not_allowed';
  override readonly headers: { Allow: string };

  constructor(method: string, allowed: readonly string[]) {
    super(`This path does not know ${method}; it knows ${allowed.join(', ')}`);
    this.headers = { Allow: allowed.join(', ') };
  }
}

export interface Shortage {
  product_id: string;
  warehouse_id?: string;
  requested: number;
  available: number;
}

export class InsufficientStock extends DomainError {
  readonly code = 'insufficient_stock';
  override readonly members: { shortages: Shortage[] };

  constructor(shortages: Shortage[]) {
    const details = shortages.map(
      (short) => `product ${short.product_id}: ${short.requested} requested, ${short.available} available`,
    );
    super(details.join('; '));
    this.members = { shortages };
  }
}

export interface FullLevel {
  product_id: string;
  warehouse_id: string;
  /** How many pieces should be put back. */
  quantity: number;
  /** How many pieces fit. */
  room: number;
}

export class StockLevelFull extends DomainError {
  readonly code = 'stock_level_full';
  override readonly members: { levels: FullLevel[] };

  constructor(levels: FullLevel[]) {
    const details = levels.map(
      (level) => `product ${level.product_id} in warehouse ${level.warehouse_id}: no room for ${level.quantity} more`,
    );
    super(details.join('; '));
    this.members = { levels };
  }
}

export class ReservationNotActive extends DomainError {
  readonly code = 'reservation_not_active';
  override readonly members: { reservation_status: string };

  constructor(status: string) {
    super(`The reservation is ${status}`);
    this.members = { reservation_status: status };
  }
}

export class InvalidTransition extends DomainError {
  readonly code = 'invalid_transition';
  override readonly members: { from: string; to: string; allowed: readonly string[] };

  constructor(from: string, to: string, allowed: readonly string[]) {
    super(
      allowed.length > 0
        ? `From ${from} an order goes to ${allowed.join(' or ')}, not to ${to}`
        : `An order that is ${from} stays so`,
    );
    this.members = { from, to, allowed };
  }
}

export class Duplicate extends DomainError {
  readonly code = 'duplicate';
  override readonly members: { field: string };

  constructor(field: string, detail = `This ${field} exists already`) {
    super(detail);
    this.members = { field };
  }
}

export class IdempotencyInProgress extends DomainError {
  readonly code = 'idempotency_in_progress';
  override readonly message = 'The first request with this Idempotency-Key has not ended yet';
  override readonly headers = { 'Retry-After': '1' };
}

export class VersionMismatch extends DomainError {
  readonly code = 'version_mismatch';
  override readonly members: { current_version: number };

  constructor(currentVersion: number) {
    super(`If-Match does not hold: the current version is ${currentVersion}`);
    this.members = { current_version: currentVersion };
  }
}

export class PayloadTooLarge extends DomainError {
  readonly code = 'payload_too_large';
}

export class UnsupportedMediaType extends DomainError {
  readonly code = 'unsupported_media_type';
}

export class IdempotencyKeyReused extends DomainError {
  readonly code = 'idempotency_key_reused';
  override readonly message = 'This Idempotency-Key was used before with another body';
}

export class RateLimited extends DomainError {
  readonly code = 'rate_limited';
  override readonly headers: { 'Retry-After': string };

  constructor(limitPerMinute: number, retryAfterSeconds: number) {
    super(`More than ${limitPerMinute} requests in a minute`);
    this.headers = { 'Retry-After': String(retryAfterSeconds) };
  }
}

export class Overloaded extends DomainError {
  readonly code = 'overloaded';
  override readonly headers = { 'Retry-After': '1' };

  constructor(cause?: unknown) {
    super('The service is too busy at the moment; nothing was changed', { cause });
  }
}

/** All pool connections were in use for too long. Every request is affected, not a particular one. */
export class PoolExhausted extends Overloaded {}

export class DatabaseUnavailable extends DomainError {
  readonly code = 'database_unavailable';
  override readonly headers = { 'Retry-After': '2' };

  constructor(cause?: unknown, detail = 'The database cannot be reached at the moment') {
    super(`${detail}; nothing was changed`, { cause });
  }
}

/** A standby, or one being promoted: it answers, but cannot change anything, and its data may be old. */
export class DatabaseIsStandby extends DatabaseUnavailable {
  constructor(cause?: unknown) {
    super(cause, 'The database is a standby at the moment, which takes no changes');
  }
}

/** No connection could be opened, so no other request would get one either. */
export class CannotConnect extends DatabaseUnavailable {}

/** It is unknown whether the token is valid, so a 401 could reject a valid one. */
export class IssuerUnavailable extends DomainError {
  readonly code = 'issuer_unavailable';
  override readonly message = "The keys of the token's issuer cannot be fetched at the moment; nothing was changed";
  override readonly headers = { 'Retry-After': '5' };
}

/** The connection broke during COMMIT. A 503 would promise that nothing was changed, so this is a 500. */
export class OutcomeUnknown extends DomainError {
  readonly code = 'outcome_unknown';

  constructor(cause: unknown) {
    super('It is not known whether this request took effect: repeat it with the same Idempotency-Key, or look', {
      cause,
    });
  }
}
