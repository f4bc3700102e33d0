import { closeIcon, launchIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IInstance, ISshHost, ISshSession } from '../api/models';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { IconButton } from '../ui/icon-button';
import { ReadSection } from '../ui/read-section';
import { Ago, CopyButton, Name } from '../ui/text';
import { addressForVsCode, aliasOf } from './addresses';
import type { SshModel } from './model';

/** Instance panel: how this instance is reached from one's own machine, and who is on it that way. */
export function SshSection(props: { model: SshModel; instance: IInstance; inSight: boolean }): JSX.Element {
  const trans = useTrans();
  const { model, inSight } = props;
  useModel(model);
  return (
    <ReadSection
      title={trans.__('Connect over SSH')}
      model={model}
      inSight={inSight}
      waiting={model.gateway ? null : trans.__('Reading how it is reached…')}
    >
      {model.gateway?.absent && <p className="mlp-note">{model.gateway.absent}</p>}
      {model.host && (model.hasKey ? <Ways host={model.host} /> : <FirstStep />)}
      {model.sessions.length > 0 && (
        <ul className="mlp-list" aria-label={trans.__('Who is on it over SSH')}>
          {model.sessions.map(session => (
            <Session key={session.id} session={session} model={model} />
          ))}
        </ul>
      )}
    </ReadSection>
  );
}

function FirstStep(): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  return (
    <>
      <p className="mlp-note">{trans.__('First register an SSH key: it opens all your instances.')}</p>
      <button type="button" className="mlp-link" onClick={() => void platform.openConsole('keys')}>
        <launchIcon.react tag="span" width="14px" /> {trans.__('Register a key in the console')}
      </button>
    </>
  );
}

function Ways({ host }: { host: ISshHost }): JSX.Element {
  const trans = useTrans();
  return (
    <>
      <dl className="mlp-facts">
        <dt>{trans.__('Once')}</dt>
        <Command text="mlplat ssh config" />
        <dt>{trans.__('Then')}</dt>
        <Command text={`ssh ${aliasOf(host)}`} />
      </dl>
      <a className="mlp-link" href={addressForVsCode(host)}>
        <launchIcon.react tag="span" width="14px" /> {trans.__('Open in VS Code')}
      </a>
    </>
  );
}

function Command({ text }: { text: string }): JSX.Element {
  const trans = useTrans();
  return (
    <dd>
      <code className="mlp-grow">{text}</code>
      <CopyButton text={text} label={trans.__('Copy the command')} />
    </dd>
  );
}

function Session({ session, model }: { session: ISshSession; model: SshModel }): JSX.Element {
  const trans = useTrans();
  return (
    <li className="mlp-row">
      <span className="mlp-grow mlp-shrink">
        <Name>{session.key_comment || session.key_id}</Name>
      </span>
      <span className="mlp-faint">
        {session.address} · <Ago moment={session.since} />
      </span>
      <IconButton
        label={trans.__('Cut off %1', session.address)}
        icon={closeIcon}
        onClick={() => void model.cut(session.id)}
      />
    </li>
  );
}
