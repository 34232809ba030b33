import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { RequestContext } from '../platform/context/request-context';
import { TransactionRunner } from '../platform/database/transaction-runner';
import { insertRows, rowsOf } from '../platform/database/insert-rows';
import type { Tx } from '../platform/database/tx';
import { Keyset } from '../platform/http/cursor';
import { whereBetween } from '../platform/http/date-range';
import type { Page } from '../platform/http/page';
import type { AuditEntry } from './audit-action';
import { AuditLog } from './audit-log.entity';
import { type AuditLogResponse, type AuditQuery, toAuditLogResponse } from './audit.dto';

/** The only writer and the only reader of the audit log. */
@Injectable()
export class AuditService {
  constructor(
    private readonly context: RequestContext,
    private readonly transactions: TransactionRunner,
  ) {}

  /** Writes down what `tx` does, in the order given: if it rolls back, so do these rows. */
  async recordTx(tx: Tx, ...entries: AuditEntry[]): Promise<void> {
    if (entries.length === 0) {
      return;
    }
    const rows = entries.map((entry) => ({
      id: uuidv7(),
      ...(entry.cause ?? this.context.cause),
      action: entry.action,
      objectType: entry.action.slice(0, entry.action.indexOf('.')),
      objectId: entry.objectId,
      oldValue: entry.oldValue ?? null,
      newValue: entry.newValue,
    }));
    await insertRows(tx, rowsOf(AuditLog, rows));
  }

  /** Newest first. @throws InvalidCursor */
  async list({ limit, cursor, ...filters }: AuditQuery): Promise<Page<AuditLogResponse>> {
    const keyset = new Keyset('audit-logs', filters);
    const after = keyset.positionOf(cursor);
    const rows = await this.transactions.read((manager) => {
      const query = manager
        .createQueryBuilder(AuditLog, 'log')
        .orderBy('log.createdAt', 'DESC')
        .addOrderBy('log.id', 'DESC');
      const { actor, action, object_type: objectType, object_id: objectId, request_id: requestId } = filters;
      for (const [column, value] of Object.entries({
        actor: actor?.toLowerCase(),
        action,
        objectType,
        objectId,
        requestId,
      })) {
        if (value !== undefined) {
          query.andWhere(`log.${column} = :${column}`, { [column]: value });
        }
      }
      whereBetween(query, 'log.createdAt', filters);
      if (after) {
        query.andWhere('(log.createdAt, log.id) < (:afterValue, :afterId)', {
          afterValue: after.value,
          afterId: after.id,
        });
      }
      return query.limit(limit + 1).getMany();
    });
    return keyset.page(rows, limit, (row) => ({ value: row.createdAt.toISOString(), id: row.id }), toAuditLogResponse);
  }
}
