const MOST_LINES = 500_000;
const DROPPED_AT_ONCE = 50_000;
const LONGEST_LINE = 10_000;
// eslint-disable-next-line no-control-regex -- terminals speak in control characters
const ESCAPES = /\u001b(\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)|[@-Z\\-_])/g;

/** The text of one line as a terminal would leave it: no colours, and only what was last written over a `\r`. */
export function cleanLine(raw: string): string {
  const plain = raw.includes('\u001b') ? raw.replace(ESCAPES, '') : raw;
  const parts = plain.includes('\r') ? plain.split('\r').filter(part => part !== '') : [plain];
  const last = parts[parts.length - 1] ?? '';
  return last.includes('\t') ? last.replace(/\t/g, '    ') : last;
}

/** The lines of a log, fed with text in pieces of any size. The oldest are dropped where there are very many. */
export class LogBuffer {
  /** Complete lines. */
  readonly lines: string[] = [];
  /** How many lines were dropped at the beginning. */
  dropped = 0;
  /** Characters of the longest line so far. */
  longest = 0;

  /** The line that is not ended yet. */
  get open(): string {
    return cleanLine(this._open);
  }

  /** All lines, the open one too if it has text. */
  get count(): number {
    return this.lines.length + (this._open === '' ? 0 : 1);
  }

  line(index: number): string {
    return index < this.lines.length ? this.lines[index]! : this.open;
  }

  append(text: string): void {
    const parts = (this._open + text).split('\n');
    this._open = parts.pop()!;
    for (const part of parts) {
      this._add(cleanLine(part.endsWith('\r') ? part.slice(0, -1) : part));
    }
    if (this._open.length > 4 * LONGEST_LINE) {
      this._add(cleanLine(this._open));
      this._open = '';
    }
    if (this.lines.length > MOST_LINES) {
      this.lines.splice(0, DROPPED_AT_ONCE);
      this.dropped += DROPPED_AT_ONCE;
    }
  }

  clear(): void {
    this.lines.length = 0;
    this._open = '';
    this.dropped = 0;
    this.longest = 0;
  }

  private _add(line: string): void {
    this.longest = Math.max(this.longest, Math.min(line.length, LONGEST_LINE));
    if (line.length <= LONGEST_LINE) {
      this.lines.push(line);
      return;
    }
    for (let start = 0; start < line.length; start += LONGEST_LINE) {
      this.lines.push(line.slice(start, start + LONGEST_LINE));
    }
  }

  private _open = '';
}

/** Columns that a character takes in a terminal. */
function columns(point: number): number {
  const wide =
    point >= 0x1100 &&
    (point <= 0x115f ||
      (point >= 0x2e80 && point <= 0xa4cf) ||
      (point >= 0xac00 && point <= 0xd7a3) ||
      (point >= 0xf900 && point <= 0xfaff) ||
      (point >= 0xfe30 && point <= 0xfe6f) ||
      (point >= 0xff00 && point <= 0xff60) ||
      (point >= 0x1f300 && point <= 0x1faff) ||
      point >= 0x20000);
  return wide ? 2 : 1;
}

/** Where the rows of a line begin when it is wrapped at `width` columns. */
export function wrapLine(line: string, width: number): number[] {
  if (line.length * 2 <= width) {
    return [0];
  }
  const starts = [0];
  let used = 0;
  let index = 0;
  for (const character of line) {
    const size = columns(character.codePointAt(0)!);
    if (used + size > width) {
      starts.push(index);
      used = 0;
    }
    used += size;
    index += character.length;
  }
  return starts;
}

export interface ILogRow {
  line: number;
  text: string;
  isFirst: boolean;
}

/** The rows on the screen: lines wrapped at a width, or not at all (Infinity). Grows with the buffer. */
export class LogRows {
  constructor(private readonly buffer: LogBuffer) {}

  get count(): number {
    return this._lines.length;
  }

  /** Take in what the buffer has got since the last time. */
  update(width: number): void {
    if (width !== this._width || this.buffer.dropped !== this._dropped || this.buffer.lines.length < this._settled) {
      this._width = width;
      this._dropped = this.buffer.dropped;
      this._lines = [];
      this._starts = [];
      this._settled = 0;
      this._settledRows = 0;
    }
    this._lines.length = this._settledRows;
    this._starts.length = this._settledRows;
    for (let line = this._settled; line < this.buffer.count; line++) {
      this._push(line);
    }
  }

  row(index: number): ILogRow {
    const line = this._lines[index]!;
    const start = this._starts[index]!;
    const end = this._lines[index + 1] === line ? this._starts[index + 1] : undefined;
    return { line, text: this.buffer.line(line).slice(start, end), isFirst: start === 0 };
  }

  /** The first row of a line. */
  rowOf(line: number): number {
    let [low, high] = [0, this._lines.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this._lines[middle]! < line) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  private _push(line: number): void {
    for (const start of this._width === Infinity ? [0] : wrapLine(this.buffer.line(line), this._width)) {
      this._lines.push(line);
      this._starts.push(start);
    }
    if (line < this.buffer.lines.length) {
      this._settled = line + 1;
      this._settledRows = this._lines.length;
    }
  }

  private _width = Infinity;
  private _dropped = 0;
  private _lines: number[] = [];
  private _starts: number[] = [];
  private _settled = 0;
  private _settledRows = 0;
}

/** The lines that contain a text, whatever their case; goes on from where it was when the buffer grows. */
export class LogSearch {
  constructor(
    private readonly buffer: LogBuffer,
    readonly query: string
  ) {
    this._needle = query.toLowerCase();
    this._dropped = buffer.dropped;
  }

  hits: number[] = [];

  update(): void {
    if (this._dropped !== this.buffer.dropped) {
      this._dropped = this.buffer.dropped;
      this._next = 0;
      this.hits = [];
    }
    for (; this._next < this.buffer.lines.length; this._next++) {
      if (this.buffer.lines[this._next]!.toLowerCase().includes(this._needle)) {
        this.hits.push(this._next);
      }
    }
  }

  private _needle: string;
  private _dropped: number;
  private _next = 0;
}
