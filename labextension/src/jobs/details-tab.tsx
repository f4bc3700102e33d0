import * as React from 'react';
import type { IChannel, IJob } from '../api/models';
import { EventList } from '../instances/panel';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import type { ViewWidget } from '../ui/panel';
import { CopyButton } from '../ui/text';
import { useLive } from './live';
import type { JobPageModel } from './page-model';

const EVENTS_SHOWN = 200;

/** What the job was given, and what happened to it. */
export function DetailsTab({ model, widget }: { model: JobPageModel; widget: ViewWidget }): JSX.Element {
  const { client, trans } = usePlatform();
  useModel(model);
  const events = useLive(model, widget, () => client.events('jobs', model.id, EVENTS_SHOWN));
  if (!model.job) {
    return <></>;
  }
  return (
    <div className="mlp-tab-body mlp-details">
      <Given job={model.job} />
      <section>
        <h3>{trans.__('Events')}</h3>
        {events.error !== undefined && <ErrorBox error={events.error} retry={events.retry} />}
        {!events.value && events.error === undefined && <Waiting>{trans.__('Reading the events…')}</Waiting>}
        {events.value && <EventList events={events.value} />}
      </section>
    </div>
  );
}

function Given({ job }: { job: IJob }): JSX.Element {
  const trans = useTrans();
  const channels = (list: IChannel[]) => Object.fromEntries(list.map(({ name, url }) => [name, url]));
  return (
    <>
      {job.description && <p>{job.description}</p>}
      <Pairs title={trans.__('Parameters')} pairs={job.parameters} />
      <Pairs title={trans.__('Inputs')} pairs={channels(job.inputs)} copy />
      <Pairs title={trans.__('Outputs')} pairs={channels(job.outputs)} copy />
      <Pairs title={trans.__('Logs')} pairs={job.logs ? { [trans.__('Folder')]: job.logs } : {}} copy />
      <Pairs title={trans.__('Environment variables')} pairs={job.environment} />
      <Pairs
        title={trans.__('Run')}
        pairs={{
          [trans.__('Entry')]: job.entry,
          [trans.__('Attempt')]: trans.__('%1 of %2', job.attempt, job.retries + 1),
          ...(job.exit_code === null ? {} : { [trans.__('Exit code')]: job.exit_code })
        }}
      />
      <Pairs
        title={trans.__('Ids')}
        pairs={{
          [trans.__('Job')]: job.id,
          [trans.__('Image')]: job.image_id,
          [trans.__('Flavor')]: job.flavor,
          [trans.__('Files')]: job.bundle
        }}
        copy
      />
    </>
  );
}

interface IPairsProps {
  title: string;
  pairs: Record<string, boolean | number | string>;
  copy?: boolean;
}

function Pairs({ title, pairs, copy }: IPairsProps): JSX.Element | null {
  const trans = useTrans();
  const entries = Object.entries(pairs);
  if (entries.length === 0) {
    return null;
  }
  return (
    <section>
      <h3>{title}</h3>
      <dl className="mlp-facts">
        {entries.map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>
              <code>{String(value)}</code>
              {copy && <CopyButton text={String(value)} label={trans.__('Copy %1', name)} />}
            </dd>
          </React.Fragment>
        ))}
      </dl>
    </section>
  );
}
