import { expect, it } from 'vitest';
import { kindOf, rowsOf } from '../src/storage/kinds';

it.each([
  ['data/a/rose.PNG', 'image'],
  ['data/plan.svg', 'image'],
  ['data/rows.csv', 'table'],
  ['data/train.ipynb', 'notebook'],
  ['data/part-0.snappy.parquet', 'parquet'],
  ['data/csv', 'text'],
  ['data/png/readme', 'text']
])('%s is shown as %s', (key, kind) => {
  expect(kindOf(key)).toBe(kind);
});

it.each([
  [
    'a,b\n1,2\n',
    [
      ['a', 'b'],
      ['1', '2']
    ]
  ],
  [
    'a,b\r\n1,2',
    [
      ['a', 'b'],
      ['1', '2']
    ]
  ],
  [
    'a\tb\n1,5\t2',
    [
      ['a', 'b'],
      ['1,5', '2']
    ]
  ],
  ['"a ""x"", y","b\nc"\n', [['a "x", y', 'b\nc']]],
  [
    'a,\n,b\n',
    [
      ['a', ''],
      ['', 'b']
    ]
  ],
  ['"cut off in the mid', [['cut off in the mid']]],
  ['', []]
])('%j has the rows that it says', (text, rows) => {
  expect(rowsOf(text, 10)).toEqual(rows);
});

it('gives no more rows than are asked for', () => {
  expect(rowsOf('1\n2\n3\n', 2)).toEqual([['1'], ['2']]);
});
