import { DomainError } from './domain-errors';

export class InvalidCursor extends DomainError {
  readonly code = 'invalid_cursor';
  override readonly message = 'The cursor was not issued for this list with these filters and this sort order';
}

export class CursorExpired extends DomainError {
  readonly code = 'cursor_expired';
  override readonly members: { oldest_cursor: string };

  constructor(oldestCursor: string) {
    super('Events that came after this cursor are no longer kept');
    this.members = { oldest_cursor: oldestCursor };
  }
}
