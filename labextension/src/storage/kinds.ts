/** What an object is shown as. */
export type Kind = 'text' | 'table' | 'notebook' | 'image' | 'parquet';

const IMAGE = /\.(png|jpe?g|gif|webp|bmp|svg|ico)$/i;
const PARQUET = /\.(parquet|pq)$/i;
const TABLE = /\.(csv|tsv)$/i;

/** By the end of its name. */
export function kindOf(key: string): Kind {
  if (IMAGE.test(key)) {
    return 'image';
  }
  if (TABLE.test(key)) {
    return 'table';
  }
  if (PARQUET.test(key)) {
    return 'parquet';
  }
  return key.toLowerCase().endsWith('.ipynb') ? 'notebook' : 'text';
}

/** The first rows of comma or tab separated values, quotes as RFC 4180 has them. */
export function rowsOf(text: string, most: number): string[][] {
  const separator = (text.split('\n', 1)[0] ?? '').includes('\t') ? '\t' : ',';
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let at = 0; at < text.length && rows.length < most; at++) {
    const letter = text[at]!;
    if (quoted) {
      if (letter !== '"') {
        cell += letter;
      } else if (text[at + 1] === '"') {
        cell += letter;
        at++;
      } else {
        quoted = false;
      }
    } else if (letter === '"') {
      quoted = true;
    } else if (letter === separator) {
      row.push(cell);
      cell = '';
    } else if (letter === '\n') {
      rows.push([...row, cell]);
      row = [];
      cell = '';
    } else if (letter !== '\r') {
      cell += letter;
    }
  }
  if ((cell || row.length > 0) && rows.length < most) {
    rows.push([...row, cell]);
  }
  return rows;
}
