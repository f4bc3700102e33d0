import { closeIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { useModel, useTrans } from '../ui/context';
import { ProgressBar } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { IconButton } from '../ui/icon-button';
import type { IState } from '../ui/states';
import { Name, StateLabel } from '../ui/text';
import { nameOf } from './paths';
import { isActive, type ITask, type TransfersModel } from './transfers';

/** Foot of the storage panel: all copies with one bar for what is under way. */
export function TransferList({ transfers }: { transfers: TransfersModel }): JSX.Element | null {
  const trans = useTrans();
  useModel(transfers);
  const { tasks, progress } = transfers;
  if (tasks.length === 0) {
    return null;
  }
  const active = tasks.filter(isActive).length;
  return (
    <div className="mlp-transfers">
      <div className="mlp-row">
        <h3 className="mlp-grow">
          {active > 0
            ? trans._n('Copying one file', 'Copying %1 files', active)
            : trans._n('One copy done', '%1 copies done', tasks.length)}
        </h3>
        {active > 0 ? (
          <span className="mlp-number mlp-faint">
            {formatBytes(progress.done)} / {formatBytes(progress.total)}
          </span>
        ) : (
          <button type="button" className="mlp-link" onClick={() => void transfers.clear()}>
            {trans.__('Clear')}
          </button>
        )}
      </div>
      {active > 0 && <ProgressBar {...progress} label={trans.__('All copies')} />}
      <ul className="mlp-list">
        {tasks.map(task => (
          <TaskRow key={task.id} task={task} />
        ))}
      </ul>
    </div>
  );
}

function stateOf(trans: TranslationBundle, task: ITask): IState {
  const states: Record<ITask['state'], IState> = {
    queued: { tone: 'idle', word: trans.__('Waiting') },
    running: {
      tone: 'busy',
      word: task.total > 0 ? `${Math.floor((100 * task.done) / task.total)} %` : trans.__('Copying')
    },
    completed: { tone: 'good', word: trans.__('Done') },
    failed: { tone: 'bad', word: trans.__('Failed') },
    cancelled: { tone: 'idle', word: trans.__('Cancelled') }
  };
  return states[task.state];
}

function TaskRow({ task }: { task: ITask }): JSX.Element {
  const trans = useTrans();
  return (
    <li className="mlp-transfer" title={`${task.source} → ${task.target}`}>
      <div className="mlp-row">
        <span className="mlp-grow mlp-shrink">
          <Name>{nameOf(task.source)}</Name>
        </span>
        <StateLabel state={stateOf(trans, task)} />
        {isActive(task) && (
          <IconButton
            label={trans.__('Cancel the copy of %1', nameOf(task.source))}
            icon={closeIcon}
            onClick={task.cancel}
          />
        )}
      </div>
      <div className={task.state === 'failed' ? 'mlp-item-why' : 'mlp-faint mlp-ellipsis'}>
        {task.state === 'failed' ? task.message : task.target}
      </div>
    </li>
  );
}
