import { fileUploadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IPlatform } from '../tokens';
import { useTrans } from '../ui/context';
import { ask, type FormDialog } from '../ui/dialog';
import { TextField } from '../ui/fields';
import { nameOf } from './paths';

/** What is to be imported, and the folder of the instance that it goes to. */
export interface IImport {
  source: string;
  folder: string;
  files: File[];
}

const ADDRESS = /^(https?|obs|s3):\/\/[^/\s]+/;

/** The order of a copy: a folder of a store keeps its name, anything else goes into the folder under its own. */
export function importOf(source: string, folder: string): { source: string; target: string } {
  const from = source.trim();
  const into = folder.trim().replace(/^\/+|\/+$/g, '');
  const isFolder = /^(obs|s3):/.test(from) && from.endsWith('/');
  const parts = [into, isFolder ? nameOf(from) : ''].filter(part => part !== '');
  return { source: from, target: parts.length > 0 ? `${parts.join('/')}/` : '' };
}

/** Files of one's own machine, an address of the web or of GitHub, or an object: into the instance. */
export function askImport(
  platform: IPlatform,
  folder: string,
  accept: (wish: IImport) => Promise<void>
): Promise<void | null> {
  const { trans } = platform;
  const wish: IImport = { source: '', folder, files: [] };
  return ask<void>(platform, {
    title: trans.__('Import into the instance'),
    verb: trans.__('Import'),
    focus: 'input',
    body: dialog => <ImportForm wish={wish} dialog={dialog} />,
    accept: () => accept(wish)
  });
}

function ImportForm({ wish, dialog }: { wish: IImport; dialog: FormDialog<void> }): JSX.Element {
  const trans = useTrans();
  const [, setCount] = React.useState(0);
  const change = (more: Partial<IImport>) => {
    Object.assign(wish, more);
    setCount(count => count + 1);
  };
  const hasFiles = wish.files.length > 0;
  const isReady = hasFiles || ADDRESS.test(wish.source.trim());
  React.useEffect(() => {
    dialog.canAccept = isReady;
  }, [dialog, isReady]);
  return (
    <>
      <TextField
        label={trans.__('From')}
        value={wish.source}
        change={source => change({ source })}
        input={{ disabled: hasFiles, placeholder: 'https://…' }}
        hint={trans.__(
          'An address of the web, a file or a repository on GitHub, or obs://BUCKET/… (a folder ends with /).'
        )}
      />
      <FilesField files={wish.files} choose={files => change({ files })} />
      <TextField
        label={trans.__('Into the folder')}
        value={wish.folder}
        change={into => change({ folder: into })}
        input={{ placeholder: '/' }}
      />
    </>
  );
}

function FilesField({ files, choose }: { files: File[]; choose: (files: File[]) => void }): JSX.Element {
  const trans = useTrans();
  const picker = React.useRef<HTMLInputElement>(null);
  return (
    <div className="mlp-field">
      <button type="button" className="jp-Button jp-mod-styled" onClick={() => picker.current?.click()}>
        <fileUploadIcon.react tag="span" /> {trans.__('Files of this computer…')}
      </button>
      {files.length > 0 && (
        <span>
          {files.map(({ name }) => name).join(', ')}{' '}
          <button type="button" className="mlp-link" onClick={() => choose([])}>
            {trans.__('Clear')}
          </button>
        </span>
      )}
      <input ref={picker} type="file" multiple hidden onChange={event => choose([...(event.target.files ?? [])])} />
    </div>
  );
}
