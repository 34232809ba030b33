export interface AnswerExtras {
  /** The path of the new resource: the `Location` header. */
  location?: string;
  /** The version of the resource: the `ETag` header. */
  version?: number;
  /** Whether this is the stored answer of an earlier request with the same key. */
  isReplay?: boolean;
}

/** What a handler returns if it sets headers besides its data; the envelope writes them. */
export class Answer<T> {
  constructor(
    readonly data: T,
    readonly extras: AnswerExtras = {},
  ) {}
}
