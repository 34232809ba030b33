import { createHmac, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppConfig } from '../config/app-config';

/** The keys that this process signs with, all derived from one secret. */
export class Secrets {
  /** Keys the fingerprints of idempotent requests. */
  readonly fingerprintKey: Buffer;

  constructor(readonly jwtSecret: string) {
    this.fingerprintKey = createHmac('sha256', jwtSecret).update('idempotency fingerprint').digest();
  }
}

/** JWT_SECRET, or one that is made at the first start and kept under DATA_DIR. */
export async function loadSecrets(config: AppConfig): Promise<Secrets> {
  return new Secrets(config.jwtSecret ?? (await keptSecret(config.dataDir)));
}

async function keptSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'jwt-secret');
  const kept = await readFile(file, 'utf8').catch(orMissing);
  if (kept) {
    return kept;
  }
  await mkdir(dataDir, { recursive: true });
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(draft, randomBytes(48).toString('base64url'), { mode: 0o600, flag: 'wx', flush: true });
    // link() makes the file whole or not at all, and fails if another process made it first: then that one counts.
    await link(draft, file).catch(orExists);
    return await readFile(file, 'utf8');
  } finally {
    await rm(draft, { force: true });
  }
}

function orMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') {
    throw error;
  }
}

function orExists(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') {
    throw error;
  }
}
