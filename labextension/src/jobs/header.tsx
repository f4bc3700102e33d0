import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import type { IJob } from '../api/models';
import { CommandIDs } from '../tokens';
import { useLoaded, useModel, useNow, usePlatform, useSignal, useTrans } from '../ui/context';
import { EmptyState, ErrorBox, ProgressBar, Waiting } from '../ui/feedback';
import { flavorLabel, formatDuration } from '../ui/format';
import { jobState } from '../ui/states';
import { Ago, Name, StateLabel } from '../ui/text';
import type { JobPage } from './page';
import { isOver, jobSeconds, jobTitle, progressWords } from './words';

/** The head of a job's page: what it is, how it is, what can be done, and the tabs. */
export function JobHeader({ page, commands }: { page: JobPage; commands: CommandRegistry }): JSX.Element {
  const trans = useTrans();
  const { model } = page;
  useModel(model);
  useSignal(page.tabChanged);
  if (model.isDeleted) {
    return (
      <EmptyState
        action={trans.__('Show the jobs')}
        onAction={() => {
          page.parent?.close();
          void commands.execute(CommandIDs.showJobs);
        }}
      >
        {trans.__('This job has been deleted.')}
      </EmptyState>
    );
  }
  if (!model.job) {
    return model.error === null ? (
      <Waiting>{trans.__('Reading the job…')}</Waiting>
    ) : (
      <ErrorBox error={model.error} retry={() => void model.refresh()} />
    );
  }
  return (
    <div className="mlp-page-header">
      <Title job={model.job} commands={commands} />
      <Facts job={model.job} />
      <Tabs page={page} />
    </div>
  );
}

function Title({ job, commands }: { job: IJob; commands: CommandRegistry }): JSX.Element {
  const trans = useTrans();
  const run = (command: string) => () => void commands.execute(command, { id: job.id });
  const over = isOver(job);
  return (
    <div className="mlp-row">
      <h2 className="mlp-shrink">
        <Name>{jobTitle(job)}</Name>
      </h2>
      <StateLabel state={jobState(trans, job)} />
      <span className="mlp-grow" />
      {!over && (
        <button
          type="button"
          className="mlp-button"
          disabled={job.phase === 'Terminating'}
          onClick={run(CommandIDs.stopJob)}
        >
          {trans.__('Stop')}
        </button>
      )}
      {over && (
        <>
          <button type="button" className="mlp-button" onClick={run(CommandIDs.deleteJob)}>
            {trans.__('Delete…')}
          </button>
          <button type="button" className="mlp-button mlp-mod-primary" onClick={run(CommandIDs.rerunJob)}>
            {trans.__('Run again')}
          </button>
        </>
      )}
    </div>
  );
}

function Facts({ job }: { job: IJob }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  const over = isOver(job);
  const now = useNow(over ? 0 : 1000);
  const { value: flavors } = useLoaded(() => platform.flavors(), []);
  const flavor = flavors?.find(({ id }) => id === job.flavor);
  const seconds = jobSeconds(job, now);
  return (
    <div className="mlp-page-facts">
      {seconds !== null && <span className="mlp-number">{formatDuration(seconds, trans)}</span>}
      <span className="mlp-shrink">
        <Name>{job.image_name}</Name>
      </span>
      <span>{flavor ? flavorLabel(flavor) : job.flavor}</span>
      {job.attempt > 1 && <span>{trans.__('attempt %1', job.attempt)}</span>}
      <span className="mlp-faint">
        {trans.__('submitted')} <Ago moment={job.created_at} />
      </span>
      {job.phase === 'Running' && job.progress.total > 0 && (
        <span className="mlp-job-progress">
          <ProgressBar done={job.progress.done} total={job.progress.total} label={progressWords(trans, job)} />
          <span className="mlp-number">{progressWords(trans, job)}</span>
        </span>
      )}
      {job.phase_message && job.phase !== 'Running' && job.phase !== 'Completed' && (
        <span className="mlp-page-why mlp-ellipsis" data-tone={jobState(trans, job).tone} title={job.phase_message}>
          {job.phase_message}
        </span>
      )}
    </div>
  );
}

function Tabs({ page }: { page: JobPage }): JSX.Element {
  const move = (event: React.KeyboardEvent<HTMLElement>) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const { tabs } = page;
    const next = tabs[tabs.findIndex(({ id }) => id === page.tab) + step];
    if (step !== 0 && next) {
      page.showTab(next.id);
      event.currentTarget.querySelector<HTMLElement>(`[data-tab=${next.id}]`)?.focus();
    }
  };
  return (
    <div className="mlp-tabs" role="tablist" onKeyDown={move}>
      {page.tabs.map(({ id, label }) => (
        <button
          key={id}
          type="button"
          role="tab"
          data-tab={id}
          aria-selected={id === page.tab}
          aria-controls={`${page.jobId}-${id}`}
          tabIndex={id === page.tab ? 0 : -1}
          onClick={() => page.showTab(id)}
        >
          {label}
        </button>
      ))}
    </div>
  );
}
