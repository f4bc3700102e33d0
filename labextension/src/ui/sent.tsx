import * as React from 'react';
import type { ISent } from '../api/models';
import { useTrans } from './context';
import { formatBytes } from './format';

const FILES_SHOWN = 500;

/** The files that will be sent, and what stays out and why: in one line, which opens. */
export function Sent({ sent }: { sent: ISent }): JSX.Element {
  const trans = useTrans();
  const { files, excluded, total_bytes: bytes } = sent;
  const count = trans._n('one file', '%1 files', files.length);
  const left = excluded.length > 0 ? ' · ' + trans._n('one left out', '%1 left out', excluded.length) : '';
  return (
    <details className="mlp-sent">
      <summary>
        {trans.__('Sends %1, %2', count, formatBytes(bytes))}
        {left}
      </summary>
      <ul className="mlp-files">
        {files.slice(0, FILES_SHOWN).map(({ path, size }) => (
          <li key={path}>
            <span>{path}</span>
            <span className="mlp-number mlp-faint">{formatBytes(size)}</span>
          </li>
        ))}
        {excluded.slice(0, FILES_SHOWN).map(({ path, reason }) => (
          <li key={`- ${path}`} className="mlp-mod-excluded">
            <span>{path}</span>
            <span className="mlp-faint">{reason}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** What keeps a form from being sent. */
export function Problems({ problems }: { problems: string[] }): JSX.Element | null {
  if (problems.length === 0) {
    return null;
  }
  return (
    <div className="mlp-error" role="alert">
      {problems.map(problem => (
        <div key={problem}>{problem}</div>
      ))}
    </div>
  );
}
