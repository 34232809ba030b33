import { symbols } from 'pino';
import { log } from '../../src/platform/logging/logger';

export type LogLine = Record<string, unknown>;

/** What the log writes from now on, line by line, instead of writing it; until Jest's mocks are restored. */
export function logLines(): LogLine[] {
  const lines: LogLine[] = [];
  const { [symbols.streamSym]: stream } = log as unknown as Record<symbol, { write(line: string): void }>;
  jest.spyOn(stream!, 'write').mockImplementation((line) => void lines.push(JSON.parse(line) as LogLine));
  return lines;
}
