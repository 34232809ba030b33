import { createHmac, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AppConfig, ConfigurationError } from '../config/app-config';

const SHORTEST_SECRET = 32;

/** The keys of this process, all derived from one secret, and those of the previous secret. */
export class Secrets {
  /** The HMAC key for the fingerprints of idempotent requests. */
  readonly fingerprintKey: Buffer;
  /** To recognise requests stored before the secret was changed. */
  readonly previousFingerprintKey?: Buffer;

  constructor(
    readonly jwtSecret: string,
    readonly previousJwtSecret?: string,
  ) {
    this.fingerprintKey = fingerprintKeyOf(jwtSecret);
    this.previousFingerprintKey = previousJwtSecret === undefined ? undefined : fingerprintKeyOf(previousJwtSecret);
  }
}

/** JWT_SECRET, or a secret generated at the first start and kept under DATA_DIR; and JWT_SECRET_PREVIOUS. */
export async function loadSecrets(config: AppConfig): Promise<Secrets> {
  return new Secrets(config.jwtSecret ?? (await keptSecret(config.dataDir)), config.jwtSecretPrevious);
}

function fingerprintKeyOf(secret: string): Buffer {
  return createHmac('sha256', secret).update('idempotency fingerprint').digest();
}

async function keptSecret(dataDir: string): Promise<string> {
  const file = join(dataDir, 'jwt-secret');
  const kept = await readFile(file, 'utf8').catch(orMissing);
  if (kept !== undefined) {
    return checked(kept, file);
  }
  await mkdir(dataDir, { recursive: true });
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(draft, randomBytes(48).toString('base64url'), { mode: 0o600, flag: 'wx', flush: true });
    // link() creates the complete file or nothing, and fails if another process was first: then its file is used.
    await link(draft, file).catch(orExists);
    return checked(await readFile(file, 'utf8'), file);
  } finally {
    await rm(draft, { force: true });
  }
}

function checked(secret: string, file: string): string {
  if (secret.length < SHORTEST_SECRET) {
    throw new ConfigurationError(
      `${file} must hold ${SHORTEST_SECRET} characters or more; delete it to have it made anew`,
    );
  }
  return secret;
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
