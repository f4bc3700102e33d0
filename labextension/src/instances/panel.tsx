import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { launchIcon } from '@jupyterlab/ui-components';
import type { IEvent, IInstance } from '../api/models';
import type { ImagesModel } from '../images/model';
import { ImageMarks } from '../images/marks';
import { ImagesUnderWay } from '../images/progress';
import type { EnvironmentsModel } from '../environments/model';
import { EnvironmentsSection } from '../environments/section';
import type { MountsModel } from '../mounts/model';
import { MountsSection } from '../mounts/section';
import type { SshModel } from '../ssh/model';
import { SshSection } from '../ssh/section';
import { CommandIDs } from '../tokens';
import { useLoaded, useModel, usePlatform, useTrans } from '../ui/context';
import { ErrorBox, Trouble, Waiting } from '../ui/feedback';
import { flavorLabel } from '../ui/format';
import { useInSight, type ViewWidget } from '../ui/panel';
import { instanceState } from '../ui/states';
import { Steps } from '../ui/steps';
import { Ago, CopyButton, Name, StateLabel } from '../ui/text';
import { Meters } from './meters';
import type { InstanceModel } from './model';

export interface IInstancePanelProps {
  model: InstanceModel;
  images: ImagesModel;
  environments: EnvironmentsModel;
  mounts: MountsModel;
  ssh: SshModel;
  commands: CommandRegistry;
  widget: ViewWidget;
}

/** The side panel *Instance*: what this Lab runs on, how busy it is, and what can be done with it. */
export function InstancePanel(props: IInstancePanelProps): JSX.Element {
  const trans = useTrans();
  const { model } = props;
  useModel(model);
  return (
    <div className="mlp-panel">
      <div className="mlp-panel-head">
        <h2>{trans.__('Instance')}</h2>
      </div>
      <div className="mlp-panel-body">
        <Trouble error={model.error} retry={() => void model.refresh()} />
        {model.instance && <Known {...props} instance={model.instance} />}
        {!model.instance && model.error === null && <Waiting>{trans.__('Reading the instance…')}</Waiting>}
      </div>
      {model.instance && <Foot commands={props.commands} instance={model.instance} />}
    </div>
  );
}

function MarksOf({ id, images }: { id: string; images: ImagesModel }): JSX.Element {
  useModel(images);
  return <ImageMarks image={images.byId(id)} />;
}

function Known(props: IInstancePanelProps & { instance: IInstance }): JSX.Element {
  const trans = useTrans();
  const { instance, commands, images, widget } = props;
  const inSight = useInSight(widget);
  const starting = instance.steps.some(step => step.status === 'PROCESSING' || step.status === 'FAILED');
  return (
    <>
      <section>
        <div className="mlp-row">
          <strong className="mlp-grow mlp-shrink">
            <Name>{instance.name}</Name>
          </strong>
          <StateLabel state={instanceState(trans, instance)} />
        </div>
        {instance.status_message && <p className="mlp-note">{instance.status_message}</p>}
        {starting && <Steps steps={instance.steps} />}
        <Facts instance={instance} commands={commands} />
        <MarksOf id={instance.image_id} images={images} />
      </section>
      <section>
        <h3>{trans.__('In use now')}</h3>
        <Meters inSight={inSight} />
      </section>
      <EnvironmentsSection model={props.environments} inSight={inSight} />
      <MountsSection model={props.mounts} inSight={inSight} />
      <section>
        <h3>{trans.__('Image')}</h3>
        <p className="mlp-note">{trans.__('Keep the packages that you installed, for jobs and other instances.')}</p>
        <ImagesUnderWay images={images} showLog={({ id }) => void commands.execute(CommandIDs.showBuild, { id })} />
        <button
          type="button"
          className="mlp-button mlp-mod-primary"
          onClick={() => void commands.execute(CommandIDs.saveImage)}
        >
          {trans.__('Save image…')}
        </button>
      </section>
      <SshSection model={props.ssh} instance={instance} inSight={inSight} />
      <Events model={props.model} />
    </>
  );
}

function Facts({ instance, commands }: { instance: IInstance; commands: CommandRegistry }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  const catalogue = useLoaded(() => platform.flavors(), []);
  const flavor = catalogue.value?.find(({ id }) => id === instance.flavor);
  return (
    <dl className="mlp-facts">
      <dt>{trans.__('Image')}</dt>
      <dd>
        <Name>{instance.image_name}</Name>
      </dd>
      <dt>{trans.__('Flavor')}</dt>
      <dd>
        <span className="mlp-grow" title={instance.flavor}>
          {flavor ? flavorLabel(flavor) : instance.flavor}
        </span>
        <button type="button" className="mlp-link" onClick={() => void commands.execute(CommandIDs.chooseFlavor)}>
          {trans.__('Change')}
        </button>
      </dd>
      {instance.started_at && (
        <>
          <dt>{trans.__('Started')}</dt>
          <dd>
            <Ago moment={instance.started_at} />
          </dd>
        </>
      )}
      <dt>{trans.__('Id')}</dt>
      <dd>
        <code className="mlp-grow">
          <Name>{instance.id}</Name>
        </code>
        <CopyButton text={instance.id} label={trans.__('Copy the id')} />
      </dd>
    </dl>
  );
}

function Events({ model }: { model: InstanceModel }): JSX.Element {
  const trans = useTrans();
  const [error, setError] = React.useState<unknown>(null);
  const toggle = (event: React.SyntheticEvent<HTMLDetailsElement>) => {
    if (event.currentTarget.open && model.events === null) {
      model.loadEvents().then(() => setError(null), setError);
    }
  };
  return (
    <details className="mlp-fold" onToggle={toggle}>
      <summary>{trans.__('Recent events')}</summary>
      <div className="mlp-fold-body">
        {error !== null && <ErrorBox error={error} />}
        {error === null && model.events === null && <Waiting>{trans.__('Reading the events…')}</Waiting>}
        {model.events && <EventList events={model.events} />}
      </div>
    </details>
  );
}

/** Events, newest first. */
export function EventList({ events }: { events: IEvent[] }): JSX.Element {
  const trans = useTrans();
  if (events.length === 0) {
    return <p className="mlp-note">{trans.__('Nothing has happened yet.')}</p>;
  }
  return (
    <ul className="mlp-events">
      {events.map(event => (
        <li key={event.id}>
          <span>{event.message || event.type}</span>
          <span className="mlp-faint">
            <Ago moment={event.at} />
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Stays in sight, and where it is while the rest is still being read. */
function Foot({ commands, instance }: { commands: CommandRegistry; instance: IInstance }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  return (
    <footer className="mlp-row mlp-foot">
      <button
        type="button"
        className="mlp-link mlp-grow"
        onClick={() => void platform.openConsole(`instances/${instance.id}`)}
      >
        <launchIcon.react tag="span" width="14px" /> {trans.__('Open in the console')}
      </button>
      <button type="button" className="mlp-link" onClick={() => void commands.execute(CommandIDs.stopInstance)}>
        {trans.__('Stop…')}
      </button>
    </footer>
  );
}
