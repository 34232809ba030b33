import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const SRC = join(__dirname, '..', 'src');

/** Which modules a module may import. What stands directly under src/ puts everything together and may import all. */
const ARROWS: Record<string, string[]> = {
  platform: [],
  audit: ['platform'],
  auth: ['platform', 'audit'],
  inventory: ['platform', 'audit'],
  orders: ['platform', 'audit', 'inventory'],
  events: ['platform', 'audit', 'inventory'],
  admin: ['platform', 'orders'],
  seed: ['platform', 'audit', 'inventory'],
  tail: ['platform'],
};

/** What another module may import from these. Adding a line is a decision: the rest stays free to change. */
const PUBLIC_FILES = [
  'audit/audit-action',
  'audit/audit-partitions',
  'audit/audit.dto',
  'audit/audit.service',
  'inventory/commands/snapshot',
  'inventory/commands/stock-commands',
  'inventory/inventory.module',
  'inventory/products/products.query',
  'inventory/reservations/reservation.changes',
  'inventory/reservations/reservation.entity',
  'inventory/reservations/reservations.dto',
  'inventory/reservations/reserve',
  'inventory/warehouses/warehouse.entity',
  'orders/order-state',
];

interface SourceFile {
  /** Path under src, without its ending: `orders/orders.service`. */
  name: string;
  text: string;
  imports: string[];
}

const files = sourceFiles();

describe('The architecture', () => {
  it('has files to look at', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(files.flatMap((file) => file.imports).length).toBeGreaterThan(200);
  });

  it('has arrows in one direction only', () => {
    const wrong = crossings().filter(({ from, to }) => !ARROWS[moduleOf(from)]?.includes(moduleOf(to)));
    expect(wrong).toEqual([]);
  });

  it('is entered by the public files of its modules only', () => {
    const wrong = crossings().filter(({ to }) => moduleOf(to) !== 'platform' && !PUBLIC_FILES.includes(to));
    expect(wrong).toEqual([]);
  });

  it('lists no public file that nobody uses', () => {
    const used = new Set([...crossings(), ...importsOfTop()].map(({ to }) => to));
    expect(PUBLIC_FILES.filter((file) => !used.has(file))).toEqual([]);
  });

  it('has no cycle between files, type-only imports included', () => {
    expect(findCycle()).toEqual([]);
  });

  it('opens transactions and takes connections in platform/database only', () => {
    const used = /\.createQueryRunner\(|\.startTransaction\(|\.transaction\(|new DataSource\(/;
    expect(filesWith(used, (name) => name.startsWith('platform/database/') || name === 'data-source')).toEqual([]);
  });

  it('asks for locks in *.locks.ts only', () => {
    const used = /setLock\(|pessimistic|FOR UPDATE|FOR SHARE|FOR NO KEY UPDATE|LOCK TABLE/;
    // The purge of idempotency keys takes rows to delete them, and skips those in use.
    const isAllowed = (name: string): boolean =>
      name.endsWith('.locks') || name === 'platform/idempotency/idempotency.service';
    expect(filesWith(used, isAllowed)).toEqual([]);
  });

  it('locks single rows through the *.locks.ts of their noun only', () => {
    expect(filesWith(/lockRow\(/, (name) => name.endsWith('.locks'))).toEqual([]);
  });

  it('reads the environment in platform/config only', () => {
    // The embedded server hands its environment on to the programs that it starts.
    const isAllowed = (name: string): boolean =>
      name.startsWith('platform/config/') || name.startsWith('platform/embedded-postgres/');
    expect(filesWith(/process\.env/, isAllowed)).toEqual([]);
  });

  it('knows HTTP statuses of failures in platform/errors only', () => {
    expect(
      filesWith(/HttpStatus|\.getStatus\(|extends HttpException/, (name) => name.startsWith('platform/errors/')),
    ).toEqual([]);
  });

  it('leaves the time to the database', () => {
    const used = /new Date\(\)|Date\.now\(\)/;
    // How long to wait for a server to start is no business of the database, and a token asks no database.
    const isAllowed = (name: string): boolean =>
      name.startsWith('platform/embedded-postgres/') || name === 'platform/security/claims';
    expect(filesWith(used, isAllowed)).toEqual([]);
  });

  it('has one name for one thing, and two names for two', () => {
    const exported = /^export (?:abstract |async )*(?:function|const|class|interface|type|enum) (\w+)/gm;
    const names = files.flatMap(({ text }) => [...text.matchAll(exported)].map(([, name]) => name!));
    expect(names.length).toBeGreaterThan(300);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it('has no file that is longer than can be read at once', () => {
    const longest = 250;
    expect(files.filter(({ text }) => text.trimEnd().split('\n').length > longest).map(({ name }) => name)).toEqual([]);
  });

  it('has no barrel, no common folder, no forwardRef and no synchronize', () => {
    expect(files.filter(({ name }) => /(^|\/)(index|common|utils)(\/|$)/.test(name)).map(({ name }) => name)).toEqual(
      [],
    );
    expect(filesWith(/forwardRef|synchronize: true|eager: true|cascade:/, () => false)).toEqual([]);
  });
});

function sourceFiles(): SourceFile[] {
  const paths = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
  return paths
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'))
    .map((path) => {
      const text = readFileSync(join(SRC, path), 'utf8');
      const imports = [...text.matchAll(/(?:from|import|import\(|require\() ?'(\.[^']*)'/g)].map((match) =>
        relative(SRC, join(SRC, dirname(path), match[1]!)),
      );
      return { name: path.replace(/\.ts$/, ''), text, imports };
    });
}

function moduleOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
}

/** The imports that lead from one module into another. */
function crossings(): { from: string; to: string }[] {
  return files
    .filter(({ name }) => moduleOf(name) !== '')
    .flatMap(({ name, imports }) => imports.map((to) => ({ from: name, to })))
    .filter(({ from, to }) => moduleOf(from) !== moduleOf(to));
}

function importsOfTop(): { from: string; to: string }[] {
  return files
    .filter(({ name }) => moduleOf(name) === '')
    .flatMap(({ name, imports }) => imports.map((to) => ({ from: name, to })));
}

/** Takes away, again and again, the files that import nothing that is left: what remains is cycles and what leads to them. */
function findCycle(): string[] {
  let left = files;
  for (;;) {
    const names = new Set(left.map(({ name }) => name));
    const stuck = left.filter(({ imports }) => imports.some((name) => names.has(name)));
    if (stuck.length === left.length) {
      return left.map(({ name }) => name);
    }
    left = stuck;
  }
}

function filesWith(pattern: RegExp, isAllowed: (name: string) => boolean): string[] {
  return files.filter(({ name, text }) => pattern.test(text) && !isAllowed(name)).map(({ name }) => name);
}
