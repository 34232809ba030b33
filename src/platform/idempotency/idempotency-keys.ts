import { createHmac } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import stringify from 'safe-stable-stringify';
import type { EntityManager } from 'typeorm';
import type { Tx } from '../database/tx';
import type { UnitOfWork } from '../database/unit-of-work';
import { IdempotencyKeyReused } from '../errors/domain-errors';
import type { Outcome } from '../batching/in-parts';
import { Answer } from '../http/answer';
import { Secrets } from '../security/secrets';
import type { IdempotencyKey } from './idempotency-key.entity';
import type { IdempotentRequest } from './idempotent-request';

export const RETENTION = "interval '24 hours'";

/** A request with an idempotency key. */
export interface KeyedRequest {
  /** Equal for two requests with one key of one caller, method and path, and for no others. */
  readonly identity: string;
  /** Equal for two requests with the same content. */
  readonly fingerprint: string;
  /** The fingerprint with the previous secret, if it is set. */
  readonly previousFingerprint?: string;
  readonly caller: string;
  readonly method: string;
  readonly path: string;
  readonly key: string;
  /** The HTTP status of a success. */
  readonly status: number;
}

/** One of the requests that share a transaction. */
export interface MaybeKeyed {
  readonly keyed: KeyedRequest | undefined;
}

type Identity = Pick<IdempotencyKey, 'caller' | 'method' | 'path' | 'key'>;

/** The answer to the first request with a key. */
export type StoredAnswer = Pick<IdempotencyKey, 'fingerprint' | 'body' | 'location'>;

const ASKED = 'json_populate_recordset(NULL::idempotency_keys, $1)';
const IS_ASKED =
  '(held.caller, held.method, held.path, held.key) = (asked.caller, asked.method, asked.path, asked.key)';

/**
 * Claims keys, including those older than 24 hours. If another transaction has claimed a key but not yet committed,
 * this waits: if the other rolls back, the key is ours; if it commits, no row is returned and its answer can be read.
 * In the order of the keys, so that two transactions with the same keys do not deadlock.
 */
const CLAIM = `
  INSERT INTO idempotency_keys AS held (caller, method, path, key, fingerprint)
  SELECT caller, method, path, key, fingerprint FROM ${ASKED} ORDER BY caller, method, path, key
  ON CONFLICT (caller, method, path, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, location = NULL, created_at = clock_timestamp()
    WHERE held.created_at < clock_timestamp() - ${RETENTION}
  RETURNING caller, method, path, key`;

const RECALL = `
  SELECT held.caller, held.method, held.path, held.key, held.fingerprint, held.body, held.location
  FROM ${ASKED} AS asked JOIN idempotency_keys AS held ON ${IS_ASKED}
  WHERE held.status IS NOT NULL AND held.created_at >= clock_timestamp() - ${RETENTION}`;

const STORE = `
  UPDATE idempotency_keys AS held
  SET fingerprint = asked.fingerprint, status = asked.status, body = asked.body, location = asked.location
  FROM ${ASKED} AS asked WHERE ${IS_ASKED}`;

const RELEASE = `DELETE FROM idempotency_keys AS held USING ${ASKED} AS asked WHERE ${IS_ASKED}`;

/** The table of idempotency keys. Each method is one statement for any number of requests. */
@Injectable()
export class IdempotencyKeys {
  constructor(private readonly secrets: Secrets) {}

  /** Undefined if the caller gave no key. */
  keyed({ key, caller, method, path, body, status }: IdempotentRequest): KeyedRequest | undefined {
    if (key === undefined) {
      return undefined;
    }
    const identity = identityOf({ caller, method, path, key });
    const { fingerprintKey, previousFingerprintKey } = this.secrets;
    const fingerprint = fingerprintOf(body, fingerprintKey);
    const previousFingerprint = previousFingerprintKey && fingerprintOf(body, previousFingerprintKey);
    return { identity, fingerprint, previousFingerprint, caller, method, path, key, status };
  }

  /** The committed answers of earlier requests, by identity. */
  async recall(manager: EntityManager, requests: readonly KeyedRequest[]): Promise<Map<string, StoredAnswer>> {
    const rows = await send<Identity & StoredAnswer>(manager, RECALL, requests);
    return new Map(rows.map((row) => [identityOf(row), row]));
  }

  /** The identities of the keys that `tx` now holds until it ends; the others have been answered meanwhile. */
  async claim(tx: Tx, requests: readonly KeyedRequest[]): Promise<Set<string>> {
    return new Set((await send<Identity>(tx, CLAIM, requests)).map(identityOf));
  }

  /** Queues the writes to claimed keys: stores the answers, and releases the keys without one. */
  storeAnswers(unit: UnitOfWork, claimed: readonly KeyedRequest[], answers: ReadonlyMap<string, StoredAnswer>): void {
    const kept = claimed.flatMap((key) => (answers.has(key.identity) ? { ...key, ...answers.get(key.identity) } : []));
    const unused = claimed.filter(({ identity }) => !answers.has(identity));
    if (kept.length > 0) {
      unit.execute(STORE, [JSON.stringify(kept)]);
    }
    if (unused.length > 0) {
      unit.execute(RELEASE, [JSON.stringify(unused)]);
    }
  }
}

/** The distinct keys of these requests. */
export function keysOf(requests: readonly MaybeKeyed[]): KeyedRequest[] {
  return [...new Map(requests.flatMap(({ keyed }) => (keyed ? [[keyed.identity, keyed]] : []))).values()];
}

/** An HMAC, because a body may hold a password; of canonical JSON, because the order of fields does not matter. */
function fingerprintOf(body: unknown, key: Buffer): string {
  return createHmac('sha256', key)
    .update(stringify(body) ?? '')
    .digest('base64url');
}

/** The first answer again, or IdempotencyKeyReused if the first request had another body. */
export function replayed(request: KeyedRequest, first: StoredAnswer): Outcome<Answer<object>> {
  if (![request.fingerprint, request.previousFingerprint].includes(first.fingerprint)) {
    return { error: new IdempotencyKeyReused() };
  }
  const { version } = first.body as { version?: number };
  const extras = { location: first.location ?? undefined, version, isReplay: true };
  return { answer: new Answer(first.body as object, extras) };
}

/** The answer to store for repeated requests with this key. */
export function asStored({ fingerprint }: KeyedRequest, { data, extras }: Answer<object>): StoredAnswer {
  return { fingerprint, body: data, location: extras.location ?? null };
}

function identityOf({ caller, method, path, key }: Identity): string {
  return `${caller} ${method} ${path} ${key}`;
}

async function send<Row>(manager: EntityManager, sql: string, rows: readonly object[]): Promise<Row[]> {
  return rows.length === 0 ? [] : manager.query<Row[]>(sql, [JSON.stringify(rows)]);
}
