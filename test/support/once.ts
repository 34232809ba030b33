import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './race';

/** Names the folder that one run of the tests keeps things in; its end removes it. */
export const RUN_VARIABLE = 'HOLDFAST_TEST_RUN';

/** Has something made once for a run of the tests, by whichever file needs it first; the others wait for that. Gives its folder. */
export async function once(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(process.env[RUN_VARIABLE]!, name);
  const done = `${folder}.done`;
  const isFirst = await mkdir(folder).then(
    () => true,
    () => false,
  );
  if (isFirst) {
    await make(folder);
    await writeFile(done, '');
  }
  await until(async () => existsSync(done), `${name} is made`, 60);
  return folder;
}
