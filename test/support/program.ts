import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { until } from './race';

/** Names the folder of what is built for one run of the tests; its end removes it. */
export const BUILD_VARIABLE = 'HOLDFAST_TEST_BUILD';

const ROOT = resolve(__dirname, '..', '..');
/** Under node_modules, so that what is built there finds its packages. */
export const BUILDS = join(ROOT, 'node_modules', '.cache');

/** The compiled programs of this working tree, to be run as processes. */
export class Build {
  private constructor(private readonly folder: string) {}

  /** Compiled once for a run of the tests, by whichever file needs it first; the others wait for that. */
  static async make(): Promise<Build> {
    const folder = process.env[BUILD_VARIABLE]!;
    const done = join(folder, 'done');
    const isFirst = await mkdir(folder).then(
      () => true,
      () => false,
    );
    if (isFirst) {
      const compiler = require.resolve('typescript/bin/tsc');
      const project = join(ROOT, 'tsconfig.build.json');
      await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', folder]);
      await writeFile(done, '');
    }
    await until(async () => existsSync(done), 'it is compiled', 60);
    return new Build(folder);
  }

  /** With these variables and no others. */
  start(file: string, args: string[], env: Record<string, string>, cwd = this.folder): Running {
    const variables = { PATH: process.env['PATH'], ...env };
    return new Running(spawn(process.execPath, [join(this.folder, 'src', file), ...args], { cwd, env: variables }));
  }
}

/** A program that was started. */
export class Running {
  readonly exited: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(readonly child: ChildProcess) {
    child.stdout!.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exited = new Promise((done) => child.on('close', done));
  }

  /** Resolves when it has written this; fails if it ends without. */
  wrote(text: RegExp): Promise<RegExpExecArray> {
    return new Promise((found, reject) => {
      const look = (): void => {
        const match = text.exec(this.stdout);
        if (match) {
          this.child.stdout!.off('data', look);
          found(match);
        }
      };
      this.child.stdout!.on('data', look);
      void this.exited.then((code) => reject(new Error(`ended with ${code}: ${this.stdout}${this.stderr}`)));
      look();
    });
  }

  /** Where it serves, once it does: in production a line of the log says so. */
  async address(): Promise<string> {
    const [, inWords, inTheLog] = await this.wrote(/API +(http:\S+)\/api\n[^]*\n\n|"address":"(http:[^"]+)"/);
    return (inWords ?? inTheLog)!;
  }

  /** Sends a signal, and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return this.exited;
  }
}
