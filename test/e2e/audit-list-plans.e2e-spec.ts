import sql from 'sql-template-tag';
import { DataSource, type EntityManager } from 'typeorm';
import { AUDIT_ACTIONS } from '../../src/audit/audit-action';
import type { AuditLog } from '../../src/audit/audit-log.entity';
import { type AuditFilters, auditQuery, findAuditLogs } from '../../src/audit/audit.query';
import { queryRows } from '../../src/platform/database/fragments';
import type { Position } from '../../src/platform/http/cursor';
import { partitionsOf } from '../support/audit-months';
import { type TestDatabase } from '../support/database';
import { createSeededDatabase } from '../support/seeds';
import { startTestApp, type TestApp } from '../support/test-app';

const MONTHS = 3;
const PAGE = 20;
/** The row that each month would give first, and a page of each action: however many rows there are. */
const MOST_ROWS = AUDIT_ACTIONS.length * PAGE + 10 * MONTHS;
/** A partition of one or two pages of the disk is read as a whole. */
const TINY = 100;
const ACTIONS = ['order.created', 'user.registered', 'reservation.expired', 'warehouse.updated'];

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: Plan[];
}

interface Row {
  id: string;
  actor: string;
  action: string;
  object_type: string;
  object_id: string;
  request_id: string;
  created_at: Date;
}

/** Some filters, and the rows that they leave, newest first. */
interface Combination {
  filters: AuditFilters;
  rows: readonly Row[];
}

function scansOf(plan: Plan): Plan[] {
  const own = plan['Relation Name'] !== undefined && plan['Actual Loops'] > 0 ? [plan] : [];
  return [...own, ...(plan.Plans ?? []).flatMap(scansOf)];
}

function rowsRead(scan: Plan): number {
  const removed = (scan['Rows Removed by Filter'] ?? 0) + (scan['Rows Removed by Index Recheck'] ?? 0);
  return Math.round((scan['Actual Rows'] + removed) * scan['Actual Loops']);
}

describe('The plan of a page of the audit log', () => {
  let database: TestDatabase;
  let test: TestApp;
  let manager: EntityManager;
  let all: Row[];
  let combinations: Combination[];
  beforeAll(async () => {
    database = await createSeededDatabase();
    await database.query('VACUUM ANALYZE audit_logs');
    test = await startTestApp({}, database);
    manager = test.app.get(DataSource).manager;
    all = await database.query<Row>(
      'SELECT id, actor, action, object_type, object_id, request_id, created_at FROM audit_logs ORDER BY created_at DESC, id DESC',
    );
    combinations = everyCombination(all);
  }, 120_000);
  afterAll(async () => {
    await test.close();
    await database.drop();
  });

  const planOf = async (filters: AuditFilters, after?: Position): Promise<Plan> => {
    const [row] = await queryRows<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      manager,
      sql`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${auditQuery(filters, PAGE + 1, after)}`,
    );
    return row!['QUERY PLAN'][0].Plan;
  };

  const expectFlat = async (filters: AuditFilters, after?: Position): Promise<void> => {
    const scans = scansOf(await planOf(filters, after));
    const whole = scans.filter((scan) => scan['Node Type'] === 'Seq Scan' && rowsRead(scan) > TINY);
    const rows = scans.map(rowsRead).reduce((total, value) => total + value, 0);
    const found = { filters, after, rows, whole: whole.map((scan) => scan['Relation Name']) };
    expect(found.whole.length > 0 || rows > MOST_ROWS ? found : undefined).toBeUndefined();
  };

  it('has every month of the seeded past in a partition of its own', async () => {
    const months = new Set(all.map(({ created_at }) => created_at.toISOString().slice(0, 7).replace('-', '_')));
    const partitions = await partitionsOf(database);
    const filled = partitions.filter(({ rows }) => rows > 0).map(({ name }) => name.slice('audit_logs_'.length));
    expect(filled).toEqual([...months].sort());
    expect(months.size).toBeGreaterThan(MONTHS);
  });

  it('reads few rows for every combination of filters, on the first page and far from it', async () => {
    const middle = all[all.length >> 1]!;
    for (const { filters } of combinations) {
      await expectFlat(filters);
      await expectFlat(filters, positionOf(middle));
    }
  });

  it('looks at no month outside of the dates, or after the position', async () => {
    const dates = { start_date: '2026-08-01', end_date: '2026-09-30' };
    const months = async (filters: AuditFilters, after?: Position): Promise<string[]> =>
      [...new Set(scansOf(await planOf(filters, after)).map((scan) => scan['Relation Name']!))].sort();
    for (const filters of [{}, { action: 'user.registered' }, { actor: 'system:reservation-expiry' }] as const) {
      const both = ['audit_logs_2026_08', 'audit_logs_2026_09'];
      expect(both).toEqual(expect.arrayContaining(await months({ ...filters, ...dates })));
      const after = { value: '2026-09-15T00:00:00.000Z', id: all[0]!.id };
      expect(both).toEqual(expect.arrayContaining(await months({ ...filters, ...dates }, after)));
      expect((await months(filters, after)).filter((name) => name > both[1]! && name < 'audit_logs_2099')).toEqual([]);
    }
  });

  it('gives what it has to, first and after any row, for every combination', async () => {
    const idsOf = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);
    const middle = all[all.length >> 1]!;
    for (const { filters, rows } of combinations) {
      const shown: AuditLog[] = [];
      for (let page: AuditLog[] = [], isMore = true; isMore; isMore = page.length === PAGE && shown.length < 3 * PAGE) {
        const last = page.at(-1);
        const after = last && { value: last.createdAt.toISOString(), id: last.id };
        page = await findAuditLogs(manager, filters, PAGE, after);
        shown.push(...page);
      }
      expect({ filters, shown: idsOf(shown) }).toEqual({ filters, shown: idsOf(rows.slice(0, 3 * PAGE)) });
      const far = await findAuditLogs(manager, filters, PAGE, positionOf(middle));
      const rest = rows.filter((row) => isAfter(row, middle)).slice(0, PAGE);
      expect({ filters, far: idsOf(far) }).toEqual({ filters, far: idsOf(rest) });
    }
  }, 120_000);
});

function isAfter(row: Row, place: Row): boolean {
  return row.created_at < place.created_at || (+row.created_at === +place.created_at && row.id < place.id);
}

/** Every value of each filter with every one of the others; an object or a request, which is one of few, with fewer. */
function everyCombination(all: readonly Row[]): Combination[] {
  const staff = all.find(({ action }) => action === 'stock.adjusted')!;
  const busiest = busiestOf(all);
  const customer = all.filter(({ actor, action }) => actor === busiest && action === 'order.created').at(-10)!;
  const rare = all.findLast(({ action }) => action === 'user.registered')!;
  const actors = [
    {},
    ...[staff, customer, rare].map(({ actor }) => ({ actor })),
    { actor: 'system:reservation-expiry' },
  ];
  const actions = [{}, ...ACTIONS.map((action) => ({ action }))];
  const types = [{}, { object_type: 'order' }, { object_type: 'stock' }];
  const dates = [{}, { start_date: '2026-08-10', end_date: '2026-09-30' }];
  const things = [
    { object_id: customer.object_id },
    { object_id: staff.object_id },
    { request_id: customer.request_id },
  ];
  return [...product(all, [actors, actions, types, dates]), ...product(all, [things, actors, dates])];
}

function product(all: readonly Row[], filters: object[][]): Combination[] {
  return (filters as AuditFilters[][]).reduce<Combination[]>(
    (combinations, ones) =>
      combinations.flatMap(({ filters: before, rows }) =>
        ones.map((one) => ({ filters: { ...before, ...one }, rows: rows.filter((row) => matches(row, one)) })),
      ),
    [{ filters: {}, rows: all }],
  );
}

/** The customer with the most orders. */
function busiestOf(all: readonly Row[]): string {
  const counts = new Map<string, number>();
  for (const { actor } of all.filter(({ action }) => action === 'order.created')) {
    counts.set(actor, (counts.get(actor) ?? 0) + 1);
  }
  return [...counts].reduce((most, one) => (one[1] > most[1] ? one : most))[0];
}

function matches(row: Row, { start_date: start, end_date: end, ...equal }: AuditFilters): boolean {
  return (
    (start === undefined || row.created_at >= new Date(start)) &&
    (end === undefined || row.created_at <= new Date(`${end}T23:59:59.999Z`)) &&
    Object.entries(equal).every(([column, value]) => row[column as keyof Row] === value)
  );
}

function positionOf({ created_at: at, id }: Row): Position {
  return { value: at.toISOString(), id };
}
