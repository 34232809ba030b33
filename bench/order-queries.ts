/** The query of a page of orders, without the question mark. */
export type PageQuery = string;

/** Facts about the existing orders: some totals, and the first and the last day. */
export interface Past {
  low: string;
  middle: string;
  /** A total that only one order in a thousand reaches. */
  rare: string;
  first: Date;
  last: Date;
}

const DAY_MS = 86_400_000;

/** All combinations of filters and sort orders: 4 × 4 × 4 × 4. */
export function combinationsOf({ low, middle, rare, first, last }: Past): PageQuery[] {
  const middleOfTime = new Date((first.getTime() + last.getTime()) / 2);
  const statuses = ['', 'status=delivered', 'status=pending', 'status=pending,confirmed,cancelled'];
  const dates = [
    '',
    since(last, 1),
    since(last, 30),
    `${since(middleOfTime, 30)}&end_date=${middleOfTime.toISOString()}`,
  ];
  const totals = ['', `max_total=${low}`, `min_total=${middle}`, `min_total=${rare}`];
  const sorts = ['newest', 'oldest', 'highest_value', 'lowest_value'].map((sort) => `sort=${sort}`);
  return statuses.flatMap((status) =>
    dates.flatMap((date) =>
      totals.flatMap((total) =>
        sorts.map((sort) => [status, date, total, sort].filter((part) => part !== '').join('&')),
      ),
    ),
  );
}

function since(end: Date, days: number): string {
  return `start_date=${new Date(end.getTime() - days * DAY_MS).toISOString()}`;
}
