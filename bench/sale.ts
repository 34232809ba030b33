import { type Connection, requestOf, type Worker } from './load';

/**
 * What follows each reservation, in turn: of ten, three are cancelled, two committed, and five ordered and confirmed.
 */
const ENDS = ['order', 'cancel', 'order', 'commit', 'order', 'cancel', 'order', 'commit', 'order', 'cancel'] as const;

/**
 * Sales of one product over a connection, one after the other; each call sends the next request of the current sale.
 */
export function saleWorker(connection: Connection, token: string, productId: string): Worker {
  const body = { product_id: productId, quantity: 1 };
  let sales = 0;
  let next: (() => Promise<string>) | undefined;

  async function reserve(): Promise<string> {
    const { status, id } = await ask('POST', '/api/reservations', body);
    const end = ENDS[sales++ % ENDS.length]!;
    next = end === 'order' ? () => order(id) : () => last('POST', `/api/reservations/${id}/${end}`);
    return status;
  }

  async function order(reservation_id: string): Promise<string> {
    const { status, id } = await ask('POST', '/api/orders', { reservation_id });
    next = () => last('PATCH', `/api/orders/${id}/status`, { status: 'confirmed' });
    return status;
  }

  async function last(method: 'POST' | 'PATCH', path: string, sent?: object): Promise<string> {
    next = undefined;
    return (await ask(method, path, sent)).status;
  }

  async function ask(method: 'POST' | 'PATCH', path: string, sent?: object): Promise<{ status: string; id: string }> {
    const answer = await connection.ask(requestOf(method, path, token, sent));
    return { status: answer.status, id: (JSON.parse(answer.body.toString()) as { data: { id: string } }).data?.id };
  }

  return () => (next ?? reserve)();
}
