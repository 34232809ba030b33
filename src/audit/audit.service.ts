import { Injectable } from '@nestjs/common';
import { uuidv7 } from 'uuidv7';
import { RequestContext } from '../platform/context/request-context';
import { TransactionRunner } from '../platform/database/transaction-runner';
import { estimateRows } from '../platform/database/estimate';
import { together } from '../platform/database/together';
import type { UnitOfWork } from '../platform/database/unit-of-work';
import { Keyset, type Position } from '../platform/http/cursor';
import type { Page } from '../platform/http/page';
import { type AuditEntry, objectTypeOf } from './audit-action';
import { AuditLog } from './audit-log.entity';
import { type AuditLogResponse, type AuditQuery, toAuditLogResponse } from './audit.dto';
import { findAuditLogs, selectAuditLogs } from './audit.query';

/** By the request id, which has an index in each month. */
const FIND_ROW = 'SELECT FROM audit_logs WHERE request_id = $1 AND id = $2';

/** The only writer and the only reader of the audit log. */
@Injectable()
export class AuditService {
  constructor(
    private readonly context: RequestContext,
    private readonly transactions: TransactionRunner,
  ) {}

  /** Queues audit rows in the order given, and returns their ids. One of them is the proof that `unit` has committed. */
  record(unit: UnitOfWork, ...entries: AuditEntry[]): string[] {
    const rows = entries.map((entry) => ({
      id: uuidv7(),
      ...(entry.cause ?? this.context.cause),
      action: entry.action,
      objectType: objectTypeOf(entry.action),
      objectId: entry.objectId,
      oldValue: entry.oldValue ?? null,
      newValue: entry.newValue,
    }));
    const [first] = rows;
    if (first) {
      unit.insert(AuditLog, rows);
      unit.proof ??= { sql: FIND_ROW, values: [first.requestId, first.id] };
    }
    return rows.map(({ id }) => id);
  }

  /** Newest first. @throws InvalidCursor */
  async list({ limit, cursor, count, ...filters }: AuditQuery): Promise<Page<AuditLogResponse>> {
    const keyset = new Keyset('audit-logs', filters);
    const after = keyset.positionOf(cursor);
    const [rows, estimate] = await this.transactions.read((manager) =>
      together([
        findAuditLogs(manager, filters, limit + 1, after),
        count && estimateRows(manager, selectAuditLogs(filters)),
      ]),
    );
    const at = (row: AuditLog): Position => ({ value: row.createdAt.toISOString(), id: row.id });
    return keyset.page(rows, limit, at, toAuditLogResponse).withEstimate(estimate, cursor);
  }
}
