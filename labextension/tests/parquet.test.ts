import { expect, it } from 'vitest';
import { cellText, readParquet } from '../src/storage/parquet';

it.each([
  [null, ''],
  [12n, '12'],
  [1.5, '1.5'],
  ['a', 'a'],
  [new Date(0), '1970-01-01T00:00:00.000Z'],
  [{ list: [1n, 'b'] }, '{"list":["1","b"]}']
])('%s is the cell %s', (value, text) => {
  expect(cellText(value)).toBe(text);
});

it('says what is wrong with what is no Parquet file', async () => {
  const content = new TextEncoder().encode('no such file, though it says so');
  const range = (start: number, end: number) => Promise.resolve(content.buffer.slice(start, end));
  await expect(readParquet(content.length, range)).rejects.toThrow('parquet file');
});
