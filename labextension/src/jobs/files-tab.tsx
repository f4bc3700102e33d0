import { downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { usePlatform } from '../ui/context';
import { EmptyState, ErrorBox, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import type { ViewWidget } from '../ui/panel';
import { Ago } from '../ui/text';
import { useLive } from './live';
import type { JobPageModel } from './page-model';
import { isOver } from './words';

/** What the job has written to its outputs. */
export function FilesTab({ model, widget }: { model: JobPageModel; widget: ViewWidget }): JSX.Element {
  const { client, trans } = usePlatform();
  const { value: files, error, retry } = useLive(model, widget, () => client.jobFiles(model.id));
  if (error) {
    return <ErrorBox error={error} retry={retry} />;
  }
  if (!files) {
    return <Waiting>{trans.__('Reading the files…')}</Waiting>;
  }
  if (files.length === 0) {
    return (
      <EmptyState>
        {model.job && isOver(model.job)
          ? trans.__('This job left no files. A job keeps what it writes to the folder in MLPLAT_OUTPUT_DIR.')
          : trans.__('No files yet. A job keeps what it writes to the folder in MLPLAT_OUTPUT_DIR.')}
      </EmptyState>
    );
  }
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return (
    <div className="mlp-tab-body">
      <div className="mlp-row">
        <span className="mlp-grow mlp-faint">
          {trans._n('one file', '%1 files', files.length)}, {formatBytes(bytes)}
        </span>
        <a className="mlp-button" href={client.jobArchiveLink(model.id)} download>
          {trans.__('Download all')}
        </a>
      </div>
      <table className="mlp-table mlp-mod-wide">
        <thead>
          <tr>
            <th>{trans.__('Name')}</th>
            <th className="mlp-number">{trans.__('Size')}</th>
            <th>{trans.__('Changed')}</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {files.map(file => (
            <tr key={file.path}>
              <td>{file.path}</td>
              <td className="mlp-number">{formatBytes(file.size)}</td>
              <td>
                <Ago moment={file.modified_at} />
              </td>
              <td>
                <a
                  className="mlp-icon-button"
                  href={client.jobFileLink(model.id, file.path)}
                  download={file.path.split('/').pop()}
                  title={trans.__('Download %1', file.path)}
                >
                  <downloadIcon.react tag="span" width="16px" />
                </a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
