import { AUDIT_ACTIONS, type AuditAction } from '../../audit/audit-action';

/** The types of events are the actions that are audited. */
export const EVENT_TYPES: readonly AuditAction[] = AUDIT_ACTIONS;

/** Of accounts, receivers and the audit log itself, only administrators are told. */
const INTERNAL = /^(user|webhook_endpoint|webhook|audit_log)\./;

/** What receivers can ask for. */
export const PUBLISHED_TYPES: readonly AuditAction[] = AUDIT_ACTIONS.filter((action) => !INTERNAL.test(action));
