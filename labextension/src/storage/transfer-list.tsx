import { closeIcon, refreshIcon, runIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { OnConflict } from '../api/models';
import { useModel, useTrans } from '../ui/context';
import { ProgressBar } from '../ui/feedback';
import { formatBytes, formatDuration } from '../ui/format';
import { IconButton } from '../ui/icon-button';
import { pauseIcon } from '../ui/icons';
import type { IState } from '../ui/states';
import { Name, StateLabel } from '../ui/text';
import { nameOf } from './paths';
import { isActive, isStopped, secondsLeft, type ITask, type TransfersModel } from './transfers';

/** Foot of the storage panel: all copies with one bar for what is under way. */
export function TransferList({ transfers }: { transfers: TransfersModel }): JSX.Element | null {
  const trans = useTrans();
  useModel(transfers);
  const { tasks, progress } = transfers;
  if (tasks.length === 0) {
    return null;
  }
  const isAnyActive = tasks.some(isActive);
  const isAnyOver = tasks.some(task => !isActive(task) && !isStopped(task));
  return (
    <div className="mlp-transfers">
      <div className="mlp-row">
        <h3 className="mlp-grow">{headingOf(trans, tasks)}</h3>
        {isAnyActive ? (
          <span className="mlp-number mlp-faint">
            {formatBytes(progress.done)}
            {progress.total > 0 && ` / ${formatBytes(progress.total)}`}
          </span>
        ) : (
          isAnyOver && (
            <button type="button" className="mlp-link" onClick={() => void transfers.clear()}>
              {trans.__('Clear')}
            </button>
          )
        )}
      </div>
      {isAnyActive && <ProgressBar {...progress} label={trans.__('All copies')} />}
      <ul className="mlp-list">
        {tasks.map(task => (
          <TaskRow key={task.id} task={task} />
        ))}
      </ul>
    </div>
  );
}

function headingOf(trans: TranslationBundle, tasks: readonly ITask[]): string {
  const active = tasks.filter(isActive).length;
  if (active > 0) {
    return trans._n('One copy under way', '%1 copies under way', active);
  }
  const asking = tasks.filter(({ state }) => state === 'asking').length;
  if (asking > 0) {
    return trans._n('One copy asks you', '%1 copies ask you', asking);
  }
  const paused = tasks.filter(isStopped).length;
  return paused > 0
    ? trans._n('One copy is paused', '%1 copies are paused', paused)
    : trans._n('One copy done', '%1 copies done', tasks.length);
}

function stateOf(trans: TranslationBundle, task: ITask): IState {
  const states: Record<ITask['state'], IState> = {
    queued: { tone: 'idle', word: trans.__('Waiting') },
    running: {
      tone: 'busy',
      word: task.total > 0 ? `${Math.floor((100 * task.done) / task.total)} %` : trans.__('Copying')
    },
    paused: { tone: 'idle', word: trans.__('Paused') },
    asking: { tone: 'idle', word: trans.__('Asks') },
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
        <TaskButtons task={task} />
      </div>
      <TaskFacts task={task} />
      {task.state === 'asking' && <Question task={task} />}
    </li>
  );
}

function TaskButtons({ task }: { task: ITask }): JSX.Element {
  const trans = useTrans();
  const name = nameOf(task.source);
  const canResume = task.resume && task.state !== 'asking';
  return (
    <>
      {task.pause && (
        <IconButton label={trans.__('Pause the copy of %1', name)} icon={pauseIcon} onClick={task.pause} />
      )}
      {canResume && (
        <IconButton
          label={
            task.state === 'failed' ? trans.__('Copy %1 again', name) : trans.__('Go on with the copy of %1', name)
          }
          icon={task.state === 'failed' ? refreshIcon : runIcon}
          onClick={() => task.resume?.()}
        />
      )}
      {(isActive(task) || isStopped(task)) && (
        <IconButton label={trans.__('Cancel the copy of %1', name)} icon={closeIcon} onClick={task.cancel} />
      )}
    </>
  );
}

/** How far it is and how long it will take; why it waits or failed; else where it goes. */
function TaskFacts({ task }: { task: ITask }): JSX.Element | null {
  const trans = useTrans();
  if (task.state === 'asking') {
    return null;
  }
  if (task.state === 'failed' || task.message) {
    return <div className="mlp-item-why">{task.message}</div>;
  }
  const left = secondsLeft(task);
  const facts = [
    task.files_total === 0 && task.files > 0 && trans._n('One file so far', '%1 files so far', task.files),
    task.files_total > 1 && trans.__('%1 of %2 files', task.files, task.files_total),
    task.speed > 0 && trans.__('%1/s', formatBytes(task.speed)),
    left !== null && trans.__('%1 left', formatDuration(left, trans))
  ].filter(Boolean);
  const isLooking = task.state === 'running' && task.files_total === 0;
  const waiting = isLooking ? trans.__('Looking for what is to be copied…') : task.target;
  const words = task.state === 'completed' || facts.length === 0 ? waiting : facts.join(' · ');
  return <div className="mlp-faint mlp-ellipsis">{words}</div>;
}

/** What to do with the targets that are there already: asked once for all of them. */
function Question({ task }: { task: ITask }): JSX.Element {
  const trans = useTrans();
  return (
    <div role="group" aria-label={trans.__('Files that are there already')}>
      <div>{conflictWords(trans, task)}</div>
      <div className="mlp-answers">
        {answers(trans).map(([answer, word]) => (
          <button key={answer} type="button" className="mlp-link" onClick={() => task.resume?.(answer)}>
            {word}
          </button>
        ))}
      </div>
    </div>
  );
}

export function conflictWords(trans: TranslationBundle, task: { conflicts: number }): string {
  return trans._n('One file is there already.', '%1 files are there already.', task.conflicts);
}

/** What can be done with targets that are there already. */
export function answers(trans: TranslationBundle): [OnConflict, string][] {
  return [
    ['overwrite', trans.__('Overwrite')],
    ['skip', trans.__('Skip')],
    ['rename', trans.__('Keep both')]
  ];
}
