import { link, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/app-config';
import { loadSecrets } from './secrets';

const KEPT = 'a secret that was kept by an earlier start, 32+';
const GIVEN = 'a secret that the environment gives, 32+';

describe('The secret', () => {
  let dataDir: string;
  let file: string;
  beforeEach(async () => {
    dataDir = join(await mkdtemp(join(tmpdir(), 'holdfast-secrets-')), 'data');
    file = join(dataDir, 'jwt-secret');
  });
  afterEach(() => rm(join(dataDir, '..'), { recursive: true }));

  const load = async (settings: Record<string, string> = {}): Promise<string> =>
    (await loadSecrets(loadConfig({ NODE_ENV: 'test', DATA_DIR: dataDir, ...settings }))).jwtSecret;

  /** The files that an interrupted start leaves behind, under the names that a start might use. */
  async function leaveDrafts(): Promise<string[]> {
    const drafts = [String(process.pid), 'abc'].map((ending) => `${file}.${ending}`);
    await load();
    await writeFile(file, KEPT);
    await Promise.all(drafts.map((draft) => link(file, draft)));
    return drafts;
  }

  it('is made once and kept, for the owner of the files alone', async () => {
    const made = await load();
    expect(made).toMatch(/^[\w-]{64}$/);
    expect(await load()).toBe(made);
    expect(await readFile(file, 'utf8')).toBe(made);
    expect(((await stat(file)).mode & 0o777).toString(8)).toBe('600');
    expect(await readdir(dataDir)).toEqual(['jwt-secret']);
  });

  it.each(['', 'short'])('is refused in one line that names the file when it is kept as %p', async (kept) => {
    await load();
    await writeFile(file, kept);
    await expect(load()).rejects.toThrow(`${file} must hold 32 characters or more`);
    expect(await readFile(file, 'utf8')).toBe(kept);
  });

  it('is another one in another directory', async () => {
    expect(await load()).not.toBe(await load({ DATA_DIR: join(dataDir, 'other') }));
  });

  it('is the same for all who start at once', async () => {
    const loaded = await Promise.all(Array.from({ length: 30 }, () => load()));
    expect(new Set(loaded)).toEqual(new Set([await readFile(file, 'utf8')]));
    expect(loaded[0]).toMatch(/^[\w-]{64}$/);
    expect(await readdir(dataDir)).toEqual(['jwt-secret']);
  });

  it('stays as it was kept, whatever drafts lie beside it', async () => {
    await leaveDrafts();
    expect([await load(), await load()]).toEqual([KEPT, KEPT]);
    expect(await readFile(file, 'utf8')).toBe(KEPT);
  });

  it('is made anew where only drafts are left, and leaves what they are linked to alone', async () => {
    const drafts = await leaveDrafts();
    await rm(file);
    const made = await load();
    expect(made).not.toBe(KEPT);
    expect(await readFile(file, 'utf8')).toBe(made);
    expect(await Promise.all(drafts.map((draft) => readFile(draft, 'utf8')))).toEqual([KEPT, KEPT]);
  });

  it('is JWT_SECRET if that is set, and nothing is made or changed', async () => {
    expect(await load({ JWT_SECRET: GIVEN })).toBe(GIVEN);
    await expect(stat(dataDir)).rejects.toMatchObject({ code: 'ENOENT' });
    const kept = await load();
    expect(await load({ JWT_SECRET: GIVEN })).toBe(GIVEN);
    expect(await load()).toBe(kept);
  });
});
