import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(__dirname, '..', '..');

/** The compiled programs of this working tree, to be run as processes. */
export class Build {
  private constructor(private readonly folder: string) {}

  static async make(name: string): Promise<Build> {
    // Under node_modules, so that what is built there finds its packages.
    const folder = join(ROOT, 'node_modules', '.cache', `holdfast-${name}-${process.pid}`);
    const compiler = require.resolve('typescript/bin/tsc');
    const project = join(ROOT, 'tsconfig.build.json');
    await promisify(execFile)(process.execPath, [compiler, '-p', project, '--noCheck', '--outDir', folder]);
    return new Build(folder);
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  /** With these variables and no others. */
  start(file: string, args: string[], env: Record<string, string>): Running {
    const variables = { PATH: process.env['PATH'], ...env };
    return new Running(
      spawn(process.execPath, [join(this.folder, 'src', file), ...args], { cwd: this.folder, env: variables }),
    );
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

  /** Sends a signal, and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.exited;
  }
}
