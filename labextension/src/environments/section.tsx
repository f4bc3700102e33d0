import { closeIcon, copyIcon, deleteIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IEnvironment, IEnvironmentWork } from '../api/models';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { ProgressBar, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { Name } from '../ui/text';
import { IconButton } from '../ui/icon-button';
import { ReadSection } from '../ui/read-section';
import { cloneEnvironment, newEnvironment, removeEnvironment } from './dialogs';
import { isUnderWay, type EnvironmentsModel } from './model';

export const BASE = 'base';

/** Instance panel: the environments, what is being made, and the one thing to do. */
export function EnvironmentsSection(props: { model: EnvironmentsModel; inSight: boolean }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  const { model, inSight } = props;
  useModel(model);
  const { environments } = model;
  return (
    <ReadSection
      title={trans.__('Environments')}
      model={model}
      inSight={inSight}
      waiting={environments ? null : trans.__('Reading the environments…')}
      add={{ label: trans.__('New environment…'), run: () => void newEnvironment(platform, model) }}
    >
      <ul className="mlp-list" aria-label={trans.__('Environments')}>
        {environments?.map(environment => (
          <Row key={environment.name} environment={environment} model={model} />
        ))}
      </ul>
      {model.work.map(work => (
        <Task key={work.id} work={work} model={model} />
      ))}
      {model.elsewhere.map(name => (
        <Waiting key={name}>{trans.__('%1 is being made or removed in a terminal', name)}</Waiting>
      ))}
      {environments?.length === 1 && model.work.length === 0 && (
        <p className="mlp-note">
          {trans.__('Packages that do not go together can have environments of their own, each with a kernel.')}
        </p>
      )}
    </ReadSection>
  );
}

function facts(environment: IEnvironment, trans: TranslationBundle): string {
  const python = environment.python ? trans.__('Python %1', environment.python) : trans.__('no Python');
  const packages = trans._n('one package', '%1 packages', environment.packages);
  return [python, packages, formatBytes(environment.size)].join(' · ');
}

function Row({ environment, model }: { environment: IEnvironment; model: EnvironmentsModel }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  const { name } = environment;
  return (
    <li className="mlp-environment" title={trans.__('From %1', environment.source)}>
      <div className="mlp-row">
        <strong className="mlp-grow mlp-shrink">
          <Name>{name}</Name>
        </strong>
        <span className="mlp-faint">{kind(environment, trans)}</span>
        <IconButton
          label={trans.__('Clone %1…', name)}
          onClick={() => void cloneEnvironment(platform, model, name)}
          icon={copyIcon}
        />
        {name !== BASE && (
          <IconButton
            label={trans.__('Remove %1…', name)}
            onClick={() => void removeEnvironment(platform, model, environment)}
            icon={deleteIcon}
          />
        )}
      </div>
      <div className="mlp-faint mlp-ellipsis">{facts(environment, trans)}</div>
      {!environment.kernel && (
        <div className="mlp-item-why">{trans.__('It has no kernel: install ipykernel in it, then restart.')}</div>
      )}
    </li>
  );
}

function kind(environment: IEnvironment, trans: TranslationBundle): string {
  return environment.kind === 'base' ? trans.__("the instance's own") : environment.kind;
}

function Task({ work, model }: { work: IEnvironmentWork; model: EnvironmentsModel }): JSX.Element {
  const trans = useTrans();
  const [asked, setAsked] = React.useState(false);
  const busy = isUnderWay(work);
  const end = () => {
    setAsked(true);
    void model.end(work);
  };
  return (
    <div className="mlp-task">
      <div className="mlp-row">
        <span className="mlp-grow mlp-shrink">
          <Name>{busy ? trans.__('Making %1', work.name) : work.name}</Name>
        </span>
        {busy && (
          <button type="button" className="mlp-link" disabled={asked} onClick={end}>
            {asked ? trans.__('Cancelling…') : trans.__('Cancel')}
          </button>
        )}
        {!busy && <IconButton label={trans.__('Take %1 off the list', work.name)} onClick={end} icon={closeIcon} />}
      </div>
      {busy && <ProgressBar done={0} total={0} label={trans.__('Making %1', work.name)} />}
      {busy && <div className="mlp-faint mlp-ellipsis">{work.message}</div>}
      {work.state === 'failed' && <Failure work={work} />}
      {work.state === 'cancelled' && <div className="mlp-faint">{trans.__('Cancelled; nothing is left of it.')}</div>}
      {busy && work.lines.length > 1 && <Said lines={work.lines} />}
    </div>
  );
}

/** The first line of why, and the program's own words below a fold. */
function Failure({ work }: { work: IEnvironmentWork }): JSX.Element {
  const [why, ...words] = work.message.split('\n');
  return (
    <div className="mlp-error" role="alert">
      <div>{why}</div>
      {words.length > 0 && <Said lines={words} open />}
    </div>
  );
}

function Said({ lines, open }: { lines: string[]; open?: boolean }): JSX.Element {
  const trans = useTrans();
  return (
    <details open={open}>
      <summary>{trans.__('What the program says')}</summary>
      <pre className="mlp-said">{lines.join('\n')}</pre>
    </details>
  );
}
