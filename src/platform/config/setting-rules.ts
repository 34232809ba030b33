import { isEmail } from 'class-validator';
import { CronTime } from 'cron';
import { z } from 'zod';

const RARE_MS = 60_000;

/** Digits only: `Number` would also accept '', ' 3', '1e3' and '0x10'. */
export function integer(fallback: number, { least, most }: { least: number; most: number }): z.ZodType<number> {
  return z.preprocess(
    (value) => (typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value),
    z
      .int('must be an integer number')
      .min(least, `must not be less than ${least}`)
      .max(most, `must not be greater than ${most}`)
      .default(fallback),
  );
}

export function oneOf<const T extends string>(...values: T[]): z.ZodType<T> {
  return z.enum(values, `must be ${values.join(', ')}`.replace(/, (?=[^,]*$)/, ' or '));
}

export function secret(): z.ZodType<string> {
  return z.string().min(32, 'must have 32 characters or more');
}

export function postgresUrl(): z.ZodType<string> {
  return z
    .string()
    .refine((value) => /^postgres(ql)?:\/\/\S+$/.test(value) && URL.canParse(value), 'must be a postgres:// address');
}

/** Names or addresses, as they stand in a URL, without ports. */
export function hostNames(): z.ZodType<readonly string[]> {
  return z
    .string()
    .optional()
    .transform((list = '') => list.split(',').map((host) => host.trim().toLowerCase()))
    .transform((hosts) => hosts.filter((host) => host !== ''))
    .refine((hosts) => hosts.every(isHostName), 'must be host names or addresses without ports, comma-separated');
}

function isHostName(host: string): boolean {
  const url = `http://${host}/`;
  return /^[\w.-]+$|^\[[\da-f:.]+\]$/.test(host) && URL.canParse(url) && new URL(url).host === host;
}

/** One address, or a name and an address: `Holdfast <shop@example.com>`. */
export function mailSender(): z.ZodType<string> {
  return z
    .string()
    .refine(
      (value) => isEmail(value, { allow_display_name: true, allow_utf8_local_part: false }) && !/\p{Cc}/u.test(value),
      'must be an email address, or a name and an address as in Holdfast <shop@example.com>',
    );
}

export function emailAddress(): z.ZodType<string> {
  return z
    .string()
    .max(254, 'must have 254 characters or fewer')
    .refine((value) => isEmail(value), 'must be an email address');
}

export function smtpUrl(): z.ZodType<string> {
  return z
    .string()
    .refine((value) => /^smtps?:\/\/\S+$/.test(value) && hasHost(value), 'must be an smtp:// or smtps:// address');
}

/** Some of these values, comma-separated, or `none`; all of them if unset. */
export function someOf<const T extends string>(...values: T[]): z.ZodType<T[]> {
  const isKnown = (value: string): value is T => values.some((known) => known === value);
  const list = (text: string): string[] => (text === 'none' ? [] : text.split(',').map((part) => part.trim()));
  return z
    .string()
    .default(values.join(','))
    .refine((text) => list(text).every(isKnown), `must be none, or some of ${values.join(', ')}, comma-separated`)
    .transform((text) => list(text).filter(isKnown));
}

function hasHost(url: string): boolean {
  return URL.canParse(url) && new URL(url).hostname !== '';
}

/** Over plain HTTP, anybody on the network path could supply their own keys. */
export function isJwksUrl(value: string): boolean {
  if (!URL.canParse(value)) {
    return false;
  }
  const { protocol, hostname, username, password } = new URL(value);
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  return (protocol === 'https:' || (protocol === 'http:' && isHere)) && username + password === '';
}

/** Whether the next two runs are at most a minute apart. An expression that never matches is an error. */
export function isFrequent(schedule: string, context: z.RefinementCtx): boolean {
  try {
    const [next, afterwards] = new CronTime(schedule).sendAt(2);
    return afterwards!.diff(next!).toMillis() <= RARE_MS;
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    context.addIssue(`must be a cron expression: ${reason}`);
    return z.NEVER;
  }
}
