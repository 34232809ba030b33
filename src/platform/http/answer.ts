export interface AnswerExtras {
  /** Path of what was made: the `Location` header. */
  location?: string;
  /** Version of the thing answered: the `ETag` header. */
  version?: number;
  /** The stored answer of an earlier request with the same key. */
  isReplay?: boolean;
}

/** What a handler answers when it has more to say than its data; the envelope writes the headers. */
export class Answer<T> {
  constructor(
    readonly data: T,
    readonly extras: AnswerExtras = {},
  ) {}
}
