import type { FileMetaData, SchemaTree } from 'hyparquet';

const ROWS = 50;
/** More than that is not read for the first rows. */
const ROW_BYTES = 32 * 1024 * 1024;

/** What a Parquet file says of itself, and its first rows; `rows` is null where reading them would take too much. */
export interface IParquet {
  count: number;
  columns: { name: string; type: string }[];
  rows: string[][] | null;
}

/** Read the end of a file, where it says what is in it, and of its rows only the pages with the first ones. */
export async function readParquet(
  size: number,
  range: (start: number, end: number) => Promise<ArrayBuffer>
): Promise<IParquet> {
  const [reader, { compressors }] = await Promise.all([import('hyparquet'), import('hyparquet-compressors')]);
  const file = {
    byteLength: size,
    slice: (start: number, end = size) => range(start < 0 ? size + start : start, end < 0 ? size + end : end)
  };
  const metadata = await reader.parquetMetadataAsync(file);
  const columns = reader.parquetSchema(metadata).children.map(one => ({ name: one.element.name, type: typeOf(one) }));
  const facts = { count: Number(metadata.num_rows), columns };
  if (firstRowsTake(metadata) > ROW_BYTES) {
    return { ...facts, rows: null };
  }
  const options = { file, metadata, compressors, rowStart: 0, rowEnd: ROWS, useOffsetIndex: true };
  const found = await reader.parquetReadObjects(options);
  return { ...facts, rows: found.map(row => columns.map(({ name }) => cellText(row[name]))) };
}

/** The bytes to read for the first rows: a whole group of rows, unless the file says where its pages are. */
function firstRowsTake(metadata: FileMetaData): number {
  const columns = metadata.row_groups[0]?.columns ?? [];
  const whole = columns.filter(one => one.offset_index_offset === undefined);
  return whole.reduce((sum, one) => sum + Number(one.meta_data?.total_compressed_size ?? 0), 0);
}

function typeOf({ element, children }: SchemaTree): string {
  const kind = element.logical_type?.type ?? element.converted_type ?? element.type;
  return (kind ?? (children.length > 0 ? 'struct' : '?')).toLowerCase();
}

/** A value as a cell of the table. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) {
    return '';
  }
  if (value instanceof Date) {
    return value.toISOString();
  }
  if (typeof value === 'string' || typeof value === 'bigint') {
    return String(value);
  }
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner));
}
