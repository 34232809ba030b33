import { parseArgs } from 'node:util';
import { ConfigurationError } from '../platform/config/app-config';

export const TAIL_USAGE = `npm run tail -- [--types order.created,order.status_changed] [--after beginning|<cursor>] [--json]

Prints the events of a running service as they happen, until Ctrl-C: time, type, object and actor in one line, or with
--json the whole event in one line of JSON. --after begins in the past. The service is at HOLDFAST_URL, or else on this
machine at PORT; the caller is that of HOLDFAST_TOKEN, an administrator's token, or else logs in with ADMIN_EMAIL and
ADMIN_PASSWORD. When the service restarts, it goes on after the last event that it has printed.
`;

const OPTIONS = {
  types: { type: 'string' },
  after: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

export interface TailArguments {
  readonly types?: string;
  readonly after?: string;
  readonly isJson: boolean;
  readonly wantsHelp: boolean;
}

/** @throws ConfigurationError naming the argument that is wrong, in one line */
export function readTailArguments(args: string[]): TailArguments {
  try {
    const { types, after, json = false, help = false } = parseArgs({ args, options: OPTIONS }).values;
    return { types, after, isJson: json, wantsHelp: help };
  } catch (error) {
    // Its first sentence names the argument; what follows is about arguments that begin with a dash.
    throw new ConfigurationError((error as Error).message.split(/[.\n]/, 1)[0]);
  }
}
