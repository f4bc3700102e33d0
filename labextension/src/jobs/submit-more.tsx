import { addIcon, closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { useTrans } from '../ui/context';
import { TextField } from '../ui/fields';
import { IconButton } from '../ui/icon-button';
import type { INamed } from './draft';
import type { IEditProps } from './submit-form';

interface IChannelRowsProps extends IEditProps {
  kind: 'inputs' | 'outputs';
  title: string;
  hint: string;
}

/** Named places in the object storage that the job reads from or writes to. */
export function ChannelRows({ kind, title, hint, draft, invalid, set }: IChannelRowsProps): JSX.Element {
  const trans = useTrans();
  const rows = draft[kind].map(({ name, url }) => ({ name, value: url }));
  return (
    <Rows
      title={title}
      hint={hint}
      rows={rows}
      namePlaceholder={kind === 'inputs' ? 'data' : 'model'}
      valuePlaceholder="obs://bucket/folder"
      wrong={index => invalid.has(`${kind}:${index}`)}
      why={trans.__('A name of letters, digits and _, and a place such as obs://bucket/folder.')}
      change={changed => set({ [kind]: changed.map(({ name, value }) => ({ name, url: value })) })}
    />
  );
}

/** Where the log goes besides the job's own page. */
export function LogsField({ draft, invalid, set }: IEditProps): JSX.Element {
  const trans = useTrans();
  return (
    <TextField
      label={
        <>
          {trans.__('Logs')} <span className="mlp-faint">– {trans.__('sent to a folder of the storage too')}</span>
        </>
      }
      value={draft.logs}
      change={logs => set({ logs: logs.trim() })}
      input={{ placeholder: 'obs://bucket/folder' }}
      wrong={invalid.has('logs') && trans.__('A place such as obs://bucket/folder.')}
    />
  );
}

/** Environment variables of the job. */
export function VariableRows({ draft, invalid, set }: IEditProps): JSX.Element {
  const trans = useTrans();
  return (
    <Rows
      title={trans.__('Environment variables')}
      hint=""
      rows={draft.environment}
      namePlaceholder="NAME"
      valuePlaceholder={trans.__('value')}
      wrong={index => invalid.has(`environment:${index}`)}
      why={trans.__('A name of letters, digits and _, no digit first.')}
      change={environment => set({ environment })}
    />
  );
}

interface IRowsProps {
  title: string;
  hint: string;
  rows: INamed[];
  namePlaceholder: string;
  valuePlaceholder: string;
  wrong: (index: number) => boolean;
  why: string;
  change: (rows: INamed[]) => void;
}

function Rows({ title, hint, rows, namePlaceholder, valuePlaceholder, wrong, why, change }: IRowsProps): JSX.Element {
  const trans = useTrans();
  const put = (index: number, row: Partial<INamed>) =>
    change(rows.map((old, position) => (position === index ? { ...old, ...row } : old)));
  return (
    <div className="mlp-rows">
      <div className="mlp-row">
        <span className="mlp-grow">
          {title} {hint && <span className="mlp-faint">– {hint}</span>}
        </span>
        <IconButton
          label={trans.__('Add to %1', title)}
          icon={addIcon}
          onClick={() => change([...rows, { name: '', value: '' }])}
        />
      </div>
      {rows.map((row, index) => (
        <React.Fragment key={index}>
          <div className="mlp-row">
            <input
              className="jp-mod-styled mlp-mod-name"
              aria-label={trans.__('Name')}
              aria-invalid={wrong(index)}
              placeholder={namePlaceholder}
              value={row.name}
              onChange={event => put(index, { name: event.target.value })}
            />
            <input
              className="jp-mod-styled mlp-grow"
              aria-label={trans.__('Value')}
              aria-invalid={wrong(index)}
              placeholder={valuePlaceholder}
              value={row.value}
              onChange={event => put(index, { value: event.target.value })}
            />
            <IconButton
              label={trans.__('Remove')}
              icon={closeIcon}
              onClick={() => change(rows.filter((_, position) => position !== index))}
            />
          </div>
          {wrong(index) && <span className="mlp-invalid">{why}</span>}
        </React.Fragment>
      ))}
    </div>
  );
}
