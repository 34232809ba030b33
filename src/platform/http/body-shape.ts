/** More than twice what the largest body of the API needs: a basket of a hundred lines with three fields each. */
export const MAX_VALUES = 1_000;
export const MAX_DEPTH = 10;

const [QUOTE, BACKSLASH, COMMA] = ['"', '\\', ','].map((sign) => sign.charCodeAt(0));
const [OPEN_OBJECT, OPEN_LIST, CLOSE_OBJECT, CLOSE_LIST] = ['{', '[', '}', ']'].map((sign) => sign.charCodeAt(0));

/**
 * What is wrong with the shape of a JSON text, if anything: too many values, or nested too deep. Checked in one pass
 * over the bytes before parsing, so that later steps have little to process.
 */
export function shapeFault(json: Uint8Array): string | undefined {
  // Every value except the outermost follows a comma or is the first in its object or list.
  let values = 1;
  let depth = 0;
  for (let at = 0; at < json.length; at += 1) {
    const sign = json[at];
    if (sign === QUOTE) {
      at = endOfString(json, at);
    } else if (sign === OPEN_OBJECT || sign === OPEN_LIST) {
      depth += 1;
      values += 1;
    } else if (sign === CLOSE_OBJECT || sign === CLOSE_LIST) {
      depth -= 1;
    } else if (sign === COMMA) {
      values += 1;
    }
    if (values > MAX_VALUES) {
      return `must not have more than ${MAX_VALUES} values`;
    }
    if (depth > MAX_DEPTH) {
      return `must not be nested more than ${MAX_DEPTH} levels deep`;
    }
  }
  return undefined;
}

/** The index of the quote that ends the string which begins at `start`; the end of the text if there is none. */
function endOfString(json: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== QUOTE) {
    at += json[at] === BACKSLASH ? 2 : 1;
  }
  return at;
}
