export interface Problem {
  readonly status: number;
  readonly title: string;
  /** What it means and what the caller can do: the text of the page at the problem's `type`. */
  readonly meaning: string;
  readonly remedy: string;
}

/** Every failure that the API answers with, and the only table from a kind of failure to its HTTP status. */
export const PROBLEMS = {
  validation_failed: {
    status: 400,
    title: 'The request breaks a rule',
    meaning:
      'At least one field of the body, the query, the path or the headers is missing, unknown, out of range or ambiguous. `errors` names every one of them with its rule.',
    remedy: 'Correct the named fields and send the request again.',
  },
  malformed_json: {
    status: 400,
    title: 'The body is not JSON',
    meaning: 'The body could not be read as a JSON document.',
    remedy: 'Send a well-formed JSON object as `application/json` in UTF-8.',
  },
  invalid_cursor: {
    status: 400,
    title: 'The cursor does not belong to this list',
    meaning: 'The cursor was altered, or belongs to another list, filter or sort order.',
    remedy: 'Begin again without a cursor, and keep filters and sort the same while paging.',
  },
  cursor_expired: {
    status: 410,
    title: 'Events after this cursor are no longer kept',
    meaning: 'Events are kept for EVENT_RETENTION_DAYS, and some that came after this cursor are older than that.',
    remedy: 'Read what you keep anew from the lists, and go on from `oldest_cursor`, or from now.',
  },
  invalid_idempotency_key: {
    status: 400,
    title: 'The Idempotency-Key is not valid',
    meaning: 'An Idempotency-Key has 1 to 255 visible ASCII characters, without spaces.',
    remedy: 'Use a new UUID for every operation, and the same one when you repeat it.',
  },
  unauthenticated: {
    status: 401,
    title: 'A valid token is needed',
    meaning:
      'The request has no bearer token, or the token is malformed, forged or expired, or the password was wrong.',
    remedy: 'Log in at POST /api/auth/login and send `Authorization: Bearer <access_token>`.',
  },
  forbidden: {
    status: 403,
    title: 'Your role may not do this',
    meaning: 'The token is valid, but the operation is for another role.',
    remedy: 'Ask an administrator.',
  },
  not_found: {
    status: 404,
    title: 'Not found',
    meaning: 'It does not exist, or it belongs to someone else; the answer is the same for both.',
    remedy: 'Check the path and the ids.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The path does not know this method',
    meaning: 'The path exists, but not with this method. The `Allow` header lists the possible ones.',
    remedy: 'Use one of the methods in `Allow`.',
  },
  insufficient_stock: {
    status: 409,
    title: 'Not enough stock',
    meaning:
      'At least one line asks for more than is available. `shortages` lists every short line with the available number. Nothing was reserved or changed.',
    remedy: 'Ask for less, or try again later.',
  },
  stock_level_full: {
    status: 409,
    title: 'The stock level cannot hold so many',
    meaning:
      'The returned pieces do not fit: one warehouse holds up to 2147483647 pieces of a product. `levels` lists every level that is too full, with its room. Nothing was changed.',
    remedy: 'Ask an administrator to remove pieces of the product from that warehouse, and try again.',
  },
  reservation_not_active: {
    status: 409,
    title: 'The reservation is no longer active',
    meaning:
      'The reservation was committed or cancelled, or has expired. `reservation_status` says which. An expired reservation cannot be renewed.',
    remedy: 'Make a new reservation.',
  },
  invalid_transition: {
    status: 409,
    title: 'The order cannot go there from here',
    meaning: 'The order is in status `from`, and from there only the statuses in `allowed` can be reached.',
    remedy: 'Read the order again and choose one of `allowed`.',
  },
  duplicate: {
    status: 409,
    title: 'It exists already',
    meaning: 'The value of the field named by `field` is taken.',
    remedy: 'Choose another value, or use what exists.',
  },
  idempotency_in_progress: {
    status: 409,
    title: 'The first request with this key still runs',
    meaning: 'Another request with the same Idempotency-Key has not ended yet.',
    remedy: 'Repeat the request after the seconds given by `Retry-After`.',
  },
  version_mismatch: {
    status: 412,
    title: 'It was changed in the meantime',
    meaning: 'The version in `If-Match` is not the current one, which `current_version` tells. Nothing was changed.',
    remedy: 'Read it again, decide again, and send the new version.',
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    meaning: 'The body is larger than the service accepts.',
    remedy: 'Send less in one request.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'Only JSON is understood',
    meaning:
      'The body has a Content-Type other than `application/json`, a charset other than UTF-8, or a Content-Encoding.',
    remedy: 'Send JSON in UTF-8 without a Content-Encoding, as `application/json`.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The key belongs to another request',
    meaning: 'This Idempotency-Key was used before with a different body.',
    remedy: 'Use a new key for a new operation.',
  },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    meaning: 'This caller has sent more requests in the last minute than the service allows.',
    remedy: 'Wait for the seconds given by `Retry-After`.',
  },
  internal_error: {
    status: 500,
    title: 'Something went wrong on our side',
    meaning: 'An unexpected error. The log has the details under this `request_id`.',
    remedy:
      'Repeat a POST with the same Idempotency-Key: it takes effect at most once. If it fails again, report the `request_id`.',
  },
  outcome_unknown: {
    status: 500,
    title: 'Nobody knows whether the request took effect',
    meaning:
      'The connection to the database broke while the change was being committed, and the service could not find out the outcome: it took effect once, or not at all.',
    remedy:
      'Repeat a POST with the same Idempotency-Key: it takes effect at most once. Without a key, and for a PATCH, read the current state before you retry.',
  },
  overloaded: {
    status: 503,
    title: 'Too busy at the moment',
    meaning: 'No lock, connection or place in the queue was free in time. Nothing was changed.',
    remedy: 'Repeat the request after the seconds given by `Retry-After`.',
  },
  database_unavailable: {
    status: 503,
    title: 'The database cannot be reached',
    meaning: 'The service runs, but its database does not answer, or accepts no changes. Nothing was changed.',
    remedy: 'Repeat the request after the seconds given by `Retry-After`.',
  },
  issuer_unavailable: {
    status: 503,
    title: 'The token cannot be checked',
    meaning:
      'The token is from an external issuer and signed with an unknown key, and the keys of the issuer cannot be fetched. Nothing was changed.',
    remedy: 'Repeat the request after the seconds given by `Retry-After`.',
  },
} as const satisfies Record<string, Problem>;

export type ProblemCode = keyof typeof PROBLEMS;

/** The `type` of a problem: a path that answers with a page about it. */
export function problemType(code: ProblemCode): string {
  return `/problems/${code.replaceAll('_', '-')}`;
}
