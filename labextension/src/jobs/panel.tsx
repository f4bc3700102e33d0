import type { CommandRegistry } from '@lumino/commands';
import { FilterBox, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IJob } from '../api/models';
import { CommandIDs } from '../tokens';
import { useModel, useNow, useTrans } from '../ui/context';
import { EmptyState, ProgressBar, Trouble, Waiting } from '../ui/feedback';
import { formatDuration } from '../ui/format';
import { IconButton } from '../ui/icon-button';
import { jobState } from '../ui/states';
import { Ago, Name, StateLabel } from '../ui/text';
import type { JobsModel } from './model';
import { isOver, jobSeconds, jobTitle, metricWords, progressWords } from './words';

export interface IJobsPanelProps {
  model: JobsModel;
  commands: CommandRegistry;
}

/** The side panel *Jobs*: what runs and what has run; a click opens the job. */
export function JobsPanel({ model, commands }: IJobsPanelProps): JSX.Element {
  const trans = useTrans();
  useModel(model);
  const [filter, setFilter] = React.useState('');
  const { jobs, error } = model;
  const shown = (jobs ?? []).filter(job => matches(job, filter, trans));
  return (
    <div className="mlp-panel">
      <div className="mlp-panel-head">
        <h2>{trans.__('Jobs')}</h2>
        <IconButton label={trans.__('Read the list again')} icon={refreshIcon} onClick={() => void model.refresh()} />
      </div>
      {jobs && jobs.length > 0 && (
        <div className="mlp-panel-filter">
          <FilterBox
            updateFilter={(_, query) => setFilter(query?.toLowerCase() ?? '')}
            placeholder={trans.__('Filter the jobs')}
            useFuzzyFilter={false}
            showIcon={false}
            disabled={false}
            caseSensitive={false}
          />
        </div>
      )}
      <div className="mlp-panel-body mlp-mod-list">
        <Trouble error={error} retry={() => void model.refresh()} />
        {!jobs && error === null && <Waiting>{trans.__('Reading your jobs…')}</Waiting>}
        {jobs?.length === 0 && (
          <EmptyState
            action={trans.__('Submit the open notebook…')}
            onAction={() => void commands.execute(CommandIDs.submitJob)}
          >
            {trans.__('You have no jobs yet. A job runs a notebook or a script by itself, with the files beside it.')}
          </EmptyState>
        )}
        {jobs && jobs.length > 0 && shown.length === 0 && (
          <p className="mlp-note">{trans.__('No job matches the filter.')}</p>
        )}
        <ul className="mlp-list">
          {shown.map(job => (
            <JobRow key={job.id} job={job} open={() => void commands.execute(CommandIDs.openJob, { id: job.id })} />
          ))}
        </ul>
        {jobs && model.total > jobs.length && filter === '' && (
          <p className="mlp-note">{trans.__('The newest %1 of %2 jobs.', jobs.length, model.total)}</p>
        )}
      </div>
    </div>
  );
}

function matches(job: IJob, filter: string, trans: ReturnType<typeof useTrans>): boolean {
  const text = `${jobTitle(job)} ${jobState(trans, job).word} ${job.flavor} ${job.image_name}`.toLowerCase();
  return filter.split(/\s+/).every(word => text.includes(word));
}

function JobRow({ job, open }: { job: IJob; open: () => void }): JSX.Element {
  const trans = useTrans();
  const over = isOver(job);
  const now = useNow(over ? 0 : 1000);
  const seconds = jobSeconds(job, now);
  const facts = [metricWords(job, 2) || (over ? '' : progressWords(trans, job))].filter(Boolean);
  return (
    <li>
      <button type="button" className="mlp-item" onClick={open}>
        <span className="mlp-row">
          <span className="mlp-grow mlp-shrink mlp-item-title">
            <Name>{jobTitle(job)}</Name>
          </span>
          <StateLabel state={jobState(trans, job)} />
        </span>
        {!over && job.phase === 'Running' && job.progress.total > 0 && (
          <ProgressBar done={job.progress.done} total={job.progress.total} label={progressWords(trans, job)} />
        )}
        <span className="mlp-row mlp-faint">
          <span className="mlp-grow mlp-shrink mlp-ellipsis">
            {facts.length > 0 ? facts : <Ago moment={job.created_at} />}
          </span>
          {seconds !== null && <span className="mlp-number">{formatDuration(seconds, trans)}</span>}
        </span>
        {job.phase === 'Failed' && job.phase_message && (
          <span className="mlp-item-why mlp-ellipsis" title={job.phase_message}>
            {job.phase_message}
          </span>
        )}
      </button>
    </li>
  );
}
