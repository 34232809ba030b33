import { expectAllOnce, expectNoLeak } from './account';
import { FeedReader } from './feed-reader';
import { isTemporary, Load } from './load';
import type { Postgres } from './postgres';
import type { Service } from './service';

const CLIENTS = 16;

/**
 * Runs load at a service while `fault` happens, which returns when its cause is gone; then everything must be served
 * again by itself, and every command must have happened once. Writes one line of figures.
 */
export async function stormThrough(
  name: string,
  { postgres, services }: { postgres: Postgres; services: readonly [Service, ...Service[]] },
  fault: (load: Load) => Promise<void>,
): Promise<Load> {
  const load = await Load.at(...services);
  const reader = new FeedReader(services);
  load.start(CLIENTS);
  try {
    const backMs = await run(load, fault);
    await expectAllOnce(postgres, services[0], load);
    await reader.expectAllOnce(postgres);
    await expectNoLeak(postgres, ...services);
    figures(name, load, backMs);
    return load;
  } finally {
    load.abandon();
    await reader.stop();
  }
}

/** How long it took after the fault until somebody was served. */
async function run(load: Load, fault: (load: Load) => Promise<void>): Promise<number> {
  await load.goesOn();
  await fault(load);
  const endedAt = performance.now();
  await load.goesOn(1);
  const backMs = performance.now() - endedAt;
  await load.goesOn();
  await load.stop();
  return backMs;
}

function figures(name: string, { commands, outcomes, slowestMs }: Load, backMs: number): void {
  const again = outcomes.filter(isTemporary).length;
  process.stderr.write(
    `${name}: ${CLIENTS} clients, ${commands.length} commands, ${again} asked again, ` +
      `served ${Math.round(backMs)} ms after it, slowest ${Math.round(slowestMs)} ms\n`,
  );
}
