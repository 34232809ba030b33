const names = new Map<string, string>();

/**
 * A statement that each connection parses and plans once, not each time; for `query()`. Only for one whose best plan
 * does not change while tables grow under load: an insert, a look-up in tables that are as large as the assortment, or
 * one in tables that are large already.
 * The plan is made anew when PostgreSQL has analysed a table, which it does within minutes of a large change.
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
