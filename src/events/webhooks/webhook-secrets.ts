import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../platform/config/app-config';
import { Secrets } from '../../platform/security/secrets';

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The secrets that sign webhooks: made here, and encrypted before they are stored. */
@Injectable()
export class WebhookSecrets {
  /** The first one encrypts; the others are tried on what was encrypted before the settings were changed. */
  private readonly keys: readonly Buffer[];

  constructor(config: AppConfig, { jwtSecret, previousJwtSecret }: Secrets) {
    const inputs = [config.webhookKey, config.webhookKeyPrevious, jwtSecret, previousJwtSecret];
    this.keys = inputs.filter((input) => input !== undefined).map(keyOf);
  }

  /** As Standard Webhooks has them. */
  make(): string {
    return `whsec_${randomBytes(32).toString('base64')}`;
  }

  /** @param endpointId only for this endpoint can it be decrypted */
  encrypt(secret: string, endpointId: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.keys[0]!, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(endpointId));
    const encrypted = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]).toString('base64url');
  }

  /** @throws Error if it was encrypted with a key that is no longer known */
  decrypt(stored: string, endpointId: string): string {
    for (const key of this.keys) {
      const secret = decrypted(Buffer.from(stored, 'base64url'), key, endpointId);
      if (secret !== undefined) {
        return secret;
      }
    }
    throw new Error('The secret cannot be decrypted: WEBHOOK_KEY or JWT_SECRET has changed. Rotate the secret');
  }
}

function keyOf(input: string): Buffer {
  return Buffer.from(hkdfSync('sha256', input, '', 'holdfast webhook secrets', KEY_BYTES));
}

/** Undefined if it is not the key. */
function decrypted(stored: Buffer, key: Buffer, endpointId: string): string | undefined {
  const nonce = stored.subarray(0, NONCE_BYTES);
  const tag = stored.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(endpointId)).setAuthTag(tag);
  try {
    return decipher.update(stored.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  } catch {
    return undefined;
  }
}
