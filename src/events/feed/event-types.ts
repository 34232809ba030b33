import { AUDIT_ACTIONS, type AuditAction } from '../../audit/audit-action';

/** The types of events are the actions that are audited. */
export const EVENT_TYPES: readonly AuditAction[] = AUDIT_ACTIONS;

/** What is told to others than administrators: nothing of accounts, and nothing of the audit log itself. */
export const PUBLISHED_TYPES: readonly AuditAction[] = AUDIT_ACTIONS.filter(
  (action) => !action.startsWith('user.') && !action.startsWith('audit_log.'),
);
