const names = new Map<string, string>();

/**
 * A statement that each connection parses once, and plans once a second at the most; for `query()`. Only for one whose best plan
 * is the same whatever its parameters are, such as a look-up by keys or an insert.
 */
export function prepared(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `holdfast_${names.size + 1}`;
    names.set(text, name);
  }
  // TypeORM hands on to the driver what it is given, and the driver takes a name with the text.
  return { name, text } as unknown as string;
}
