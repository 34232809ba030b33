import { Failure } from '../src/program';
import { PORT } from './service';
import { median } from './statistics';

/** The service under test, as `measureAdminReads` needs it. */
interface Target {
  readonly token: string;
}

export interface AdminReads {
  readonly metricsMs: number;
  readonly reconciliationMs: number;
}

const REPEATS = 5;

/** The median time of each of the two reads of whole tables, one after the other, with the tables in memory. */
export async function measureAdminReads(target: Target): Promise<AdminReads> {
  return {
    metricsMs: await timeOf(target, '/api/admin/metrics'),
    reconciliationMs: await timeOf(target, '/api/admin/reconciliation'),
  };
}

async function timeOf(target: Target, path: string): Promise<number> {
  await read(target, path);
  const times: number[] = [];
  for (let round = 0; round < REPEATS; round += 1) {
    const startedAt = performance.now();
    await read(target, path);
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

async function read({ token }: Target, path: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${PORT}${path}`, { headers: { Authorization: `Bearer ${token}` } });
  const body = (await response.json()) as { data?: { ok?: boolean } };
  if (response.status !== 200 || body.data?.ok === false) {
    throw new Failure(`GET ${path} was answered with ${response.status}: ${JSON.stringify(body)}`);
  }
}
