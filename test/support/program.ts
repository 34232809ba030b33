import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { once } from './once';

const ROOT = resolve(__dirname, '..', '..');

/** The compiled programs of this working tree, to be run as processes. */
export class Build {
  private constructor(private readonly folder: string) {}

  static async make(): Promise<Build> {
    const compiler = require.resolve('typescript/bin/tsc');
    const project = join(ROOT, 'tsconfig.build.json');
    const folder = await once('build', async (outDir) => {
      await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', outDir]);
    });
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
