const names = new Map<string, string>();

/**
 * A statement for `query()` that each connection parses once, and plans at most once a second. Only for statements whose best
 * plan does not depend on the parameters, such as a look-up by keys or an insert.
 */
export function prepared(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `holdfast_${names.size + 1}`;
    names.set(text, name);
  }
  // TypeORM passes it on unchanged, and the driver accepts an object with a name.
  return { name, text } as unknown as string;
}
