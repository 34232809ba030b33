import './platform/config/env-file';
import { once } from 'node:events';
import { type AppConfig, loadConfig } from './platform/config/app-config';
import { DEVELOPMENT_ADMIN } from './platform/config/settings';
import { Failure, type Program, runProgram } from './program';
import { EventFollower, type FollowedService, ServiceAway, ServiceRefuses } from './tail/event-follower';
import { eventLine, type TailedEvent } from './tail/event-line';
import { readTailArguments, TAIL_USAGE } from './tail/tail-arguments';

void runProgram('The tail failed.', tail);

/** Prints the events of a running service until a signal, or until nobody reads them any more. */
async function tail(program: Program): Promise<void> {
  const { isJson, wantsHelp, ...wanted } = readTailArguments(process.argv.slice(2));
  if (wantsHelp) {
    process.stdout.write(TAIL_USAGE);
    return;
  }
  const stopping = new AbortController();
  void program.interrupted.then(() => stopping.abort());
  // As when it is piped into `head`.
  process.stdout.on('error', () => stopping.abort());
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const follower = new EventFollower(serviceOf(loadConfig()), wanted, stopping.signal, say);
  const hasColours = process.stdout.isTTY && process.stdout.hasColors();
  try {
    for await (const event of follower.events()) {
      const line = isJson ? event : eventLine(JSON.parse(event) as TailedEvent, hasColours);
      if (!process.stdout.write(`${line}\n`)) {
        await once(process.stdout, 'drain', { signal: stopping.signal });
      }
    }
  } catch (error) {
    if (!stopping.signal.aborted) {
      throw error instanceof ServiceAway || error instanceof ServiceRefuses ? new Failure(error.message) : error;
    }
  }
}

function serviceOf({ holdfastUrl, holdfastToken, port, adminEmail, adminPassword }: AppConfig): FollowedService {
  if (holdfastToken === undefined && adminPassword === undefined) {
    throw new Failure('HOLDFAST_TOKEN or ADMIN_PASSWORD must be set: events are for administrators');
  }
  return {
    url: (holdfastUrl ?? `http://127.0.0.1:${port}`).replace(/\/+$/, ''),
    token: holdfastToken,
    email: adminEmail ?? DEVELOPMENT_ADMIN,
    password: adminPassword,
  };
}
