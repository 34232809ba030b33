import { rm } from 'node:fs/promises';
import type { TestServer } from './global-setup';
import { BUILD_VARIABLE } from './program';

export default async function globalTeardown(): Promise<void> {
  const { postgres, dataDir } = (globalThis as { testServer?: TestServer }).testServer ?? {};
  await rm(process.env[BUILD_VARIABLE]!, { recursive: true, force: true });
  await postgres?.stop();
  if (dataDir !== undefined) {
    await rm(dataDir, { recursive: true, force: true });
  }
}
