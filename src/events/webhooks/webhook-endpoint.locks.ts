import { lockRows } from '../../platform/database/rows.locks';
import type { Tx } from '../../platform/database/tx';
import { WebhookEndpoint } from './webhook-endpoint.entity';

/** Locks an endpoint against other changes. To be taken before its deliveries are. */
export async function lockEndpoint(tx: Tx, id: string): Promise<WebhookEndpoint | undefined> {
  const [endpoint] = await lockRows(tx, WebhookEndpoint, [id]);
  return endpoint;
}

/** Those of the endpoints that nobody else has locked, so that one process at a time takes deliveries for them. */
export function lockIdleEndpoints(tx: Tx, ids: readonly string[]): Promise<WebhookEndpoint[]> {
  return lockRows(tx, WebhookEndpoint, ids, 'skip');
}
