import { randomBytes } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AuthService } from './auth/auth.service';
import type { AppConfig } from './platform/config/app-config';
import { DEVELOPMENT_ADMIN } from './platform/config/settings';
import { RequestContext } from './platform/context/request-context';
import { Duplicate } from './platform/errors/domain-errors';
import { log } from './platform/logging/logger';

export interface Admin {
  email: string;
  /** Set only if it was just generated: it is printed once and not stored. */
  newPassword?: string;
}

/**
 * Makes the administrator of the settings if there is no such user. Outside production there is always one; in
 * production only if ADMIN_EMAIL and ADMIN_PASSWORD are both set.
 */
export async function ensureAdmin(app: NestFastifyApplication, config: AppConfig): Promise<Admin | undefined> {
  const { isProduction, adminEmail = isProduction ? undefined : DEVELOPMENT_ADMIN, adminPassword } = config;
  if (adminEmail === undefined || (isProduction && adminPassword === undefined)) {
    return undefined;
  }
  const existing = await app.get(AuthService, { strict: false }).findByEmail(adminEmail);
  if (!existing) {
    return createAdmin(app, adminEmail, adminPassword);
  }
  if (existing.role !== 'admin') {
    log.warn('ADMIN_EMAIL is registered as an ordinary user and stays one');
  }
  return { email: adminEmail };
}

async function createAdmin(app: NestFastifyApplication, email: string, givenPassword?: string): Promise<Admin> {
  const auth = app.get(AuthService, { strict: false });
  const newPassword = givenPassword === undefined ? randomBytes(15).toString('base64url') : undefined;
  try {
    await app
      .get(RequestContext)
      .runAsSystem('bootstrap', () => auth.createAdmin(email, (givenPassword ?? newPassword)!));
    return { email, newPassword };
  } catch (error) {
    // Another process that started at the same time was faster: the password that it printed is valid.
    if (error instanceof Duplicate) {
      return { email };
    }
    throw error;
  }
}
