/** `Map.groupBy`, which Node has from version 21. */
export function groupBy<Row, Key>(rows: readonly Row[], keyOf: (row: Row) => Key): Map<Key, Row[]> {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) {
      group.push(row);
    } else {
      groups.set(keyOf(row), [row]);
    }
  }
  return groups;
}
