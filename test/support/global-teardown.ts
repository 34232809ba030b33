import { rm } from 'node:fs/promises';
import type { TestServer } from './global-setup';

export default async function globalTeardown(): Promise<void> {
  const { postgres, dataDir } = (globalThis as { testServer?: TestServer }).testServer ?? {};
  await postgres?.stop();
  if (dataDir !== undefined) {
    await rm(dataDir, { recursive: true, force: true });
  }
}
