import { styleText } from 'node:util';

/** What is printed of an event, as the stream has it. */
export interface TailedEvent {
  readonly timestamp: string;
  readonly type: string;
  readonly actor: string;
  readonly object: { readonly type: string; readonly id: string };
}

type Style = Parameters<typeof styleText>[0];

const COLOURS: Readonly<Record<string, Style>> = {
  order: 'green',
  reservation: 'cyan',
  stock: 'yellow',
  product: 'magenta',
};
const LONGEST_TYPE = 'reservation.committed'.length;

/** Time, type, object and actor. */
export function eventLine({ timestamp, type, actor, object }: TailedEvent, hasColours: boolean): string {
  const style = (as: Style, text: string): string => (hasColours ? styleText(as, text) : text);
  const colour = COLOURS[type.split('.', 1)[0]!] ?? 'white';
  return [
    style('dim', timestamp),
    style(colour, type.padEnd(LONGEST_TYPE)),
    `${object.type} ${object.id}`,
    style('dim', actor),
  ].join('  ');
}
