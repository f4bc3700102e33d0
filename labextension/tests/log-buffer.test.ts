import { describe, expect, it } from 'vitest';
import { cleanLine, LogBuffer, LogRows, LogSearch, wrapLine } from '../src/logs/buffer';

function bufferOf(...pieces: string[]): LogBuffer {
  const buffer = new LogBuffer();
  pieces.forEach(piece => buffer.append(piece));
  return buffer;
}

function textOf(rows: LogRows): string[] {
  return Array.from({ length: rows.count }, (_, index) => rows.row(index).text);
}

describe('LogBuffer', () => {
  it('joins lines that arrive in pieces and shows the one that is not ended', () => {
    const buffer = bufferOf('on', 'e\ntw', 'o\r\nthr');
    expect(buffer.lines).toEqual(['one', 'two']);
    expect(buffer.count).toBe(3);
    expect(buffer.line(2)).toBe('thr');
  });

  it('keeps what a progress bar wrote last', () => {
    const buffer = bufferOf(' 10 %\r', ' 50 %\r');
    expect(buffer.open).toBe(' 50 %');
    buffer.append('100 %\n');
    expect(buffer.lines).toEqual(['100 %']);
  });

  it('drops colours, also when a code is cut in two', () => {
    expect(bufferOf('\u001b[3', '1mred\u001b[0m\n').lines).toEqual(['red']);
    expect(cleanLine('\u001b]0;title\u0007text\tx')).toBe('text    x');
  });

  it('cuts endless lines', () => {
    const buffer = bufferOf('x'.repeat(25_000) + '\n');
    expect(buffer.lines.map(line => line.length)).toEqual([10_000, 10_000, 5_000]);
  });

  it('drops the oldest of very many lines', () => {
    const buffer = bufferOf('x\n'.repeat(500_001));
    expect(buffer.dropped).toBe(50_000);
    expect(buffer.lines.length + buffer.dropped).toBe(500_001);
  });
});

describe('LogRows', () => {
  it('wraps by columns, wide characters taking two', () => {
    expect(wrapLine('abcdefgh', 3)).toEqual([0, 3, 6]);
    expect(wrapLine('中文中文', 5)).toEqual([0, 2]);
    expect(wrapLine('', 5)).toEqual([0]);
  });

  it('grows with the buffer as if it were made anew', () => {
    const buffer = bufferOf('abcdef\ngh');
    const rows = new LogRows(buffer);
    rows.update(4);
    expect(textOf(rows)).toEqual(['abcd', 'ef', 'gh']);
    buffer.append('ijk\nl');
    rows.update(4);
    expect(textOf(rows)).toEqual(['abcd', 'ef', 'ghij', 'k', 'l']);
    expect(rows.rowOf(1)).toBe(2);
    rows.update(Infinity);
    expect(textOf(rows)).toEqual(['abcdef', 'ghijk', 'l']);
  });
});

describe('LogSearch', () => {
  it('finds lines whatever their case, and those that come later', () => {
    const buffer = bufferOf('Error one\nfine\n');
    const search = new LogSearch(buffer, 'error');
    search.update();
    buffer.append('an ERROR\n');
    search.update();
    expect(search.hits).toEqual([0, 2]);
  });
});
