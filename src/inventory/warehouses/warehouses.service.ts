import { Injectable } from '@nestjs/common';
import sql from 'sql-template-tag';
import { uuidv7 } from 'uuidv7';
import { AuditService } from '../../audit/audit.service';
import { orDuplicate } from '../../platform/database/duplicates';
import { estimateRows } from '../../platform/database/estimate';
import { together } from '../../platform/database/together';
import { TransactionRunner } from '../../platform/database/transaction-runner';
import { NotFound } from '../../platform/errors/domain-errors';
import { Answer } from '../../platform/http/answer';
import { Keyset, type Position } from '../../platform/http/cursor';
import type { Page, PageQuery } from '../../platform/http/page';
import { changesIn } from '../../platform/http/patch';
import { IdempotencyService } from '../../platform/idempotency/idempotency.service';
import type { IdempotentRequest } from '../../platform/idempotency/idempotent-request';
import { Warehouse } from './warehouse.entity';
import { lockWarehouse } from './warehouse.locks';
import {
  type CreateWarehouseBody,
  toWarehouseResponse,
  type UpdateWarehouseBody,
  type WarehouseResponse,
} from './warehouses.dto';

const UNIQUE_CODE = 'warehouses_code_unique';
const ALL = sql`SELECT FROM warehouses`;

@Injectable()
export class WarehousesService {
  constructor(
    private readonly transactions: TransactionRunner,
    private readonly idempotency: IdempotencyService,
    private readonly audit: AuditService,
  ) {}

  /** Lists all, in the order in which they serve reservations. @throws InvalidCursor */
  async list({ limit, cursor, count }: PageQuery): Promise<Page<WarehouseResponse>> {
    const keyset = new Keyset('warehouses', {}, 'integer');
    const after = keyset.positionOf(cursor);
    const [rows, estimate] = await this.transactions.read((manager) => {
      const query = manager
        .createQueryBuilder(Warehouse, 'warehouse')
        .orderBy('warehouse.priority')
        .addOrderBy('warehouse.id');
      if (after) {
        query.where('(warehouse.priority, warehouse.id) > (:value, :id)', after);
      }
      return together([query.limit(limit + 1).getMany(), count && estimateRows(manager, ALL)]);
    });
    const at = (row: Warehouse): Position => ({ value: String(row.priority), id: row.id });
    return keyset.page(rows, limit, at, toWarehouseResponse).withEstimate(estimate, cursor);
  }

  /** @throws Duplicate if the code is taken */
  async create(body: CreateWarehouseBody, request: IdempotentRequest): Promise<Answer<WarehouseResponse>> {
    return this.idempotency.run(request, async (unit) => {
      const { tx } = unit;
      const id = uuidv7();
      const { code, name, priority, is_active: isActive } = body;
      await tx.insert(Warehouse, { id, code, name, priority, isActive }).catch(orDuplicate(UNIQUE_CODE, 'code'));
      const warehouse = toWarehouseResponse(await tx.findOneByOrFail(Warehouse, { id }));
      this.audit.record(unit, { action: 'warehouse.created', objectId: id, newValue: warehouse });
      return new Answer(warehouse, { location: `/api/warehouses/${id}` });
    });
  }

  /** Changes only the given fields. Locks the warehouse. @throws NotFound, Duplicate if the code is taken */
  async update(id: string, body: UpdateWarehouseBody): Promise<WarehouseResponse> {
    const { code, name, priority, is_active: isActive } = body;
    const changes = changesIn({ code, name, priority, isActive });
    return this.transactions.run(async (unit) => {
      const { tx } = unit;
      const before = await lockWarehouse(tx, id);
      if (!before) {
        throw new NotFound('warehouse', id);
      }
      const values = { ...changes, updatedAt: () => 'clock_timestamp()' };
      await tx.update(Warehouse, { id }, values).catch(orDuplicate(UNIQUE_CODE, 'code'));
      const after = toWarehouseResponse(await tx.findOneByOrFail(Warehouse, { id }));
      this.audit.record(unit, {
        action: 'warehouse.updated',
        objectId: id,
        oldValue: toWarehouseResponse(before),
        newValue: after,
      });
      return after;
    });
  }
}
