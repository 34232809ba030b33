/** What a mail says. Texts are plain: `rendered` writes them as text and as HTML. */
export interface Letter {
  readonly subject: string;
  readonly paragraphs: readonly string[];
  /** A table of names and values below. */
  readonly rows: readonly (readonly [name: string, value: string])[];
}

export interface RenderedLetter {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const LONGEST_NAME = 80;

/** A name as it may stand in a subject: one short line. */
export function shortName(name: string): string {
  const characters = [...name.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim()];
  return characters.length > LONGEST_NAME ? `${characters.slice(0, LONGEST_NAME - 1).join('')}…` : characters.join('');
}

export function rendered({ subject, paragraphs, rows }: Letter): RenderedLetter {
  const text = [...paragraphs, rows.map(([name, value]) => `${name}: ${value}`).join('\n')].join('\n\n');
  const cells = rows.map(([name, value]) => `<tr>${cell(name, '#555')}${cell(value, '#000')}</tr>`);
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${escaped(subject)}</title></head>
<body style="font-family: sans-serif; line-height: 1.5">
${paragraphs.map((paragraph) => `<p>${escaped(paragraph)}</p>`).join('\n')}
<table style="border-collapse: collapse">
${cells.join('\n')}
</table>
</body>
</html>
`;
  return { subject, text: `${text}\n`, html };
}

function cell(text: string, color: string): string {
  return `<td style="padding: 2px 16px 2px 0; color: ${color}">${escaped(text)}</td>`;
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}
