import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { declarations, settings } from './platform/config/settings';

const EXAMPLE_FILE = '.env.example';
const TABLE_FILE = 'docs/operations.md';
const TABLE = /(?<=<!-- settings -->\n).*(?=<!-- \/settings -->)/s;
const LINE_WIDTH = 118;

interface Setting {
  readonly variable: string;
  readonly text: string;
  readonly example?: string;
  /** The allowed values, in words; empty if any text is allowed or `text` describes them. */
  readonly values: string;
  readonly default?: string;
}

void main();

/** Writes `.env.example` and the table of settings in the documentation, from the declarations. */
async function main(): Promise<void> {
  const all = Object.values(settings.shape).map(describe);
  await writeFile(EXAMPLE_FILE, exampleOf(all));
  const page = await readFile(TABLE_FILE, 'utf8');
  if (!TABLE.test(page)) {
    throw new Error(`${TABLE_FILE} has no <!-- settings --> and <!-- /settings -->`);
  }
  // A function, because `$` in a replacement string has a special meaning.
  await writeFile(
    TABLE_FILE,
    page.replace(TABLE, () => `\n${tableOf(all)}\n`),
  );
}

function describe(schema: z.ZodType): Setting {
  const json = z.toJSONSchema(schema, { io: 'input' });
  return {
    ...declarations.get(schema)!,
    values: valuesOf(json),
    default: json.default === undefined ? undefined : `${json.default as string | number}`,
  };
}

function valuesOf({
  type,
  minimum,
  maximum,
  minLength,
  maxLength,
  enum: values,
}: z.core.JSONSchema.BaseSchema): string {
  if (values !== undefined) {
    return values.join(', ');
  }
  if (type === 'integer') {
    return `${minimum?.toLocaleString('en')} to ${maximum?.toLocaleString('en')}`;
  }
  if (minLength !== undefined) {
    return maxLength === undefined ? `${minLength} characters or more` : `${minLength} to ${maxLength} characters`;
  }
  return '';
}

function exampleOf(all: Setting[]): string {
  const head = 'Copy to .env and uncomment what you need. An empty value counts as unset; a wrong one stops the start.';
  const entries = all.map(({ variable, text, values, example = '', default: fallback = example }) => {
    const comment = asComment(values === '' ? text : `${text} Values: ${values}.`);
    return `${comment}# ${variable}=${fallback}\n`;
  });
  return [asComment(head), ...entries].join('\n');
}

function asComment(text: string): string {
  return text.replaceAll(new RegExp(`(.{1,${LINE_WIDTH}})(?: |$)`, 'g'), '# $1\n');
}

/** A table as Prettier formats it. */
function tableOf(all: Setting[]): string {
  const body = all.map(({ variable, values, text, default: fallback }) => {
    return [`\`${variable}\``, values, fallback === undefined ? '' : `\`${fallback}\``, text];
  });
  const head = ['variable', 'values', 'default', 'meaning'];
  const widths = head.map((title, column) => Math.max(title.length, ...body.map((cells) => cells[column]!.length)));
  const rule = widths.map((width) => '-'.repeat(width));
  const lines = [head, rule, ...body].map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)));
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}
