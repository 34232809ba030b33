const BAR = 30;

interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
}

/** Says how far it is: a bar that moves on a terminal, else a line for each step. */
export class Progress {
  private readonly begun = performance.now();
  private done = 0;
  private made = 0;
  private isLineOpen = false;

  constructor(
    private readonly total: number,
    private readonly output: Output,
  ) {}

  /** So many more are done; those that were there already tell nothing of the rate. */
  step(orders: number, wereThere: boolean): void {
    this.done += orders;
    this.made += wereThere ? 0 : orders;
    const seconds = (performance.now() - this.begun) / 1000;
    const rate = this.made / seconds;
    const left = rate > 0 ? `, ${Math.round(rate)}/s, ${Math.round((this.total - this.done) / rate)} s left` : '';
    const text = `${this.done} of ${this.total} orders${left}`;
    if (!this.output.isTTY) {
      this.output.write(`${text}\n`);
      return;
    }
    const filled = Math.floor((BAR * this.done) / this.total);
    const isLast = this.done === this.total;
    this.isLineOpen = !isLast;
    // The rest of what was there is erased: the next text may be shorter.
    this.output.write(`\r[${'#'.repeat(filled).padEnd(BAR, '.')}] ${text}\x1b[K${isLast ? '\n' : ''}`);
  }

  /** A line of its own, below the bar. */
  say(text: string): void {
    this.output.write(`${this.isLineOpen ? '\n' : ''}${text}\n`);
    this.isLineOpen = false;
  }
}
