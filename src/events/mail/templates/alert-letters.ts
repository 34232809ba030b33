import { type Letter, shortName } from './letter';

export interface MailedStock {
  readonly product_id: string;
  readonly sku: string;
  readonly name: string;
  readonly available: number;
  readonly low_stock_threshold: number;
}

export interface MailedEndpoint {
  readonly url: string;
  readonly reason: string;
  readonly failing_since: string;
}

export const ALERT_LETTERS = {
  stock_low: (stock: MailedStock): Letter => ({
    subject: `Low stock: ${shortName(stock.name)} (${shortName(stock.sku)})`,
    paragraphs: [`Only ${stock.available} of ${stock.name} are available.`],
    rows: rowsOf(stock),
  }),

  stock_depleted: (stock: MailedStock): Letter => ({
    subject: `Out of stock: ${shortName(stock.name)} (${shortName(stock.sku)})`,
    paragraphs: [`Nothing of ${stock.name} is available any more.`],
    rows: rowsOf(stock),
  }),

  webhook_disabled: ({ url, reason, failing_since }: MailedEndpoint): Letter => ({
    subject: `Webhooks stopped: ${shortName(url)}`,
    paragraphs: [
      reason === 'gone'
        ? 'The endpoint answered 410 Gone and was disabled.'
        : 'Nothing has reached the endpoint for days, and it was disabled.',
      'Enable it when it works again, and have delivered again what it has missed.',
    ],
    rows: [
      ['Endpoint', url],
      ['Failing since', failing_since],
    ],
  }),
};

function rowsOf({ product_id, sku, name, available, low_stock_threshold }: MailedStock): [string, string][] {
  return [
    ['Product', name],
    ['SKU', sku],
    ['Id', product_id],
    ['Available', `${available}`],
    ['Counts as low at', `${low_stock_threshold}`],
  ];
}
