/** A frame of Server-Sent Events, without the fields that the service does not send. */
export interface StreamFrame {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
}

/** The frames of a stream, each when it is whole. What an interrupted stream has begun is dropped. */
export async function* framesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamFrame> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = blocks.pop()!;
    yield* blocks.map(frameOf);
  }
}

function frameOf(block: string): StreamFrame {
  const fields = block.split('\n').map((line) => /^(\w*): ?(.*)$/.exec(line)?.slice(1) ?? []);
  return Object.fromEntries(fields.filter(([name]) => name)) as StreamFrame;
}
