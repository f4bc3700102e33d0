import * as React from 'react';
import type { IObject } from '../api/objects';
import { usePlatform, useTrans } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { type Kind, kindOf, rowsOf } from './kinds';
import { type IParquet, readParquet } from './parquet';

const TEXT_BYTES = 64 * 1024;
const NOTEBOOK_BYTES = 4 * 1024 * 1024;
const IMAGE_BYTES = 16 * 1024 * 1024;
const ROWS = 100;
const LIMIT: Record<Exclude<Kind, 'parquet'>, number> = {
  text: TEXT_BYTES,
  table: TEXT_BYTES,
  notebook: NOTEBOOK_BYTES,
  image: IMAGE_BYTES
};

interface IPreviewProps {
  object: IObject;
  endpoint: string;
}

/** What an object looks like, as far as a small part of it says. */
export function Preview(props: IPreviewProps): JSX.Element {
  const kind = kindOf(props.object.key);
  return kind === 'parquet' ? <Parquet {...props} /> : <Beginning {...props} kind={kind} />;
}

function Parquet({ object, endpoint }: IPreviewProps): JSX.Element {
  const { client, trans } = usePlatform();
  const [found, setFound] = React.useState<IParquet | null>(null);
  const [error, setError] = React.useState<unknown>(null);
  React.useEffect(() => {
    const range = (start: number, end: number) => client.objectRange(object.key, endpoint, start, end);
    readParquet(object.size, range).then(setFound, setError);
  }, [client, object.key, object.size, endpoint]);
  if (error !== null) {
    return <ErrorBox error={error} />;
  }
  if (!found) {
    return <Waiting>{trans.__('Reading the object…')}</Waiting>;
  }
  const { columns, count, rows } = found;
  const facts = [trans._n('one row', '%1 rows', count), trans._n('one column', '%1 columns', columns.length)];
  return (
    <div className="mlp-preview" tabIndex={0}>
      <p className="mlp-faint">{facts.join(', ')}</p>
      <Table rows={[columns.map(({ name, type }) => `${name} (${type})`), ...(rows ?? [])]} />
      {!rows && (
        <p className="mlp-faint">{trans.__('Its rows lie in groups too large to be read for a look at the first.')}</p>
      )}
      {rows && rows.length < count && (
        <p className="mlp-faint">{trans._n('The first row.', 'The first %1 rows.', rows.length)}</p>
      )}
    </div>
  );
}

/** Text, the rows of a table, an image, a notebook's cells. */
function Beginning({ object, endpoint, kind }: IPreviewProps & { kind: keyof typeof LIMIT }): JSX.Element {
  const { client, trans } = usePlatform();
  const [content, setContent] = React.useState<Blob | null>(null);
  const [error, setError] = React.useState<unknown>(null);
  const isWhole = object.size <= LIMIT[kind];
  React.useEffect(() => {
    client.objectStart(object.key, endpoint, LIMIT[kind]).then(setContent, setError);
  }, [client, object.key, endpoint, kind]);
  if (error !== null) {
    return <ErrorBox error={error} />;
  }
  if (!content) {
    return <Waiting>{trans.__('Reading the object…')}</Waiting>;
  }
  return (
    <div className="mlp-preview" tabIndex={0}>
      <Content kind={kind} content={content} isWhole={isWhole} isDrawing={/\.svg$/i.test(object.key)} />
      {!isWhole && kind !== 'image' && (
        <p className="mlp-faint">
          {trans.__('The first %1 of %2.', formatBytes(LIMIT[kind]), formatBytes(object.size))}
        </p>
      )}
    </div>
  );
}

interface IContent {
  kind: Kind;
  content: Blob;
  isWhole: boolean;
  isDrawing: boolean;
}

function Content({ kind, content, isWhole, isDrawing }: IContent): JSX.Element {
  const trans = useTrans();
  if (kind === 'image') {
    return isWhole ? (
      <Picture content={content} isDrawing={isDrawing} />
    ) : (
      <p>{trans.__('This image is too large to be shown here.')}</p>
    );
  }
  if (kind === 'notebook' && !isWhole) {
    return <p>{trans.__('This notebook is too large to be shown here.')}</p>;
  }
  return <Written kind={kind} content={content} />;
}

function Picture({ content, isDrawing }: { content: Blob; isDrawing: boolean }): JSX.Element {
  const trans = useTrans();
  const url = React.useMemo(() => {
    // of all images SVG alone is not known by its content; as an image no script of it runs
    return URL.createObjectURL(isDrawing ? new Blob([content], { type: 'image/svg+xml' }) : content);
  }, [content, isDrawing]);
  React.useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return <img src={url} alt={trans.__('Preview')} />;
}

function Written({ kind, content }: { kind: Kind; content: Blob }): JSX.Element | null {
  const trans = useTrans();
  const [text, setText] = React.useState<string | null>(null);
  React.useEffect(() => {
    void content.text().then(setText);
  }, [content]);
  if (text === null) {
    return null;
  }
  if (text.includes('\0')) {
    return <p>{trans.__('This object is not text. Copy it into the work folder to open it.')}</p>;
  }
  if (kind === 'table') {
    return <Table rows={rowsOf(text, ROWS)} />;
  }
  return kind === 'notebook' ? <Cells text={text} /> : <pre>{text}</pre>;
}

function Table({ rows }: { rows: string[][] }): JSX.Element {
  const [head = [], ...body] = rows;
  return (
    <table>
      <thead>
        <tr>
          {head.map((cell, index) => (
            <th key={index} scope="col">
              {cell}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {body.map((row, index) => (
          <tr key={index}>
            {row.map((cell, column) => (
              <td key={column}>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface ICell {
  cell_type: string;
  source: string | string[];
}

function cellsOf(text: string): ICell[] | null {
  try {
    const { cells } = JSON.parse(text) as { cells?: ICell[] };
    return Array.isArray(cells) ? cells : null;
  } catch {
    return null;
  }
}

function Cells({ text }: { text: string }): JSX.Element {
  const cells = cellsOf(text);
  if (!cells) {
    return <pre>{text}</pre>;
  }
  return (
    <>
      {cells.map((cell, index) => (
        <pre key={index} data-cell={cell.cell_type}>
          {Array.isArray(cell.source) ? cell.source.join('') : String(cell.source)}
        </pre>
      ))}
    </>
  );
}
