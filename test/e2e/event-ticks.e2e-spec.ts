import { rowsOfTick } from '../../src/events/feed/tick.query';
import { aProduct } from '../support/factories';
import { startTestApp } from '../support/test-app';

describe('A tick', () => {
  it('is read by the index of transactions alone, however many events the day has had', async () => {
    const other = await startTestApp();
    try {
      await other.database.query(`
        DO $$ BEGIN FOR i IN 1..300 LOOP
          INSERT INTO audit_logs (id, actor, action, object_type, object_id, request_id)
          SELECT gen_random_uuid(), 'system:test', 'product.updated', 'product', gen_random_uuid(), gen_random_uuid()
          FROM generate_series(1, 200);
          COMMIT;
        END LOOP; END $$`);
      await other.tick();
      await other.database.query('ANALYZE audit_logs, event_ticks');
      await aProduct(other);
      await other.tick();
      const rows = await other.database.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(`
        EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
        SELECT row.id FROM event_ticks AS tick CROSS JOIN LATERAL (${rowsOfTick('tick')}) AS row
        WHERE (tick.era, tick.id) = (SELECT era, tick FROM event_head)`);
      const [{ Plan: plan }] = rows[0]!['QUERY PLAN'];
      const blocks = plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!;
      expect([plan['Actual Rows'], blocks < 50 ? 'few blocks' : blocks]).toEqual([1, 'few blocks']);
    } finally {
      await other.close();
    }
  });
});
