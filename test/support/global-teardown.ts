import { rm } from 'node:fs/promises';
import type { TestServer } from './global-setup';
import { RUN_VARIABLE } from './once';

export default async function globalTeardown(): Promise<void> {
  const { postgres, dataDir } = (globalThis as { testServer?: TestServer }).testServer ?? {};
  await rm(process.env[RUN_VARIABLE]!, { recursive: true, force: true });
  await postgres?.stop();
  if (dataDir !== undefined) {
    await rm(dataDir, { recursive: true, force: true });
  }
}
