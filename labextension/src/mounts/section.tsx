import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IMount } from '../api/mounts';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { IconButton } from '../ui/icon-button';
import { ReadSection } from '../ui/read-section';
import { mountState } from '../ui/states';
import { CopyButton, Name, StateLabel } from '../ui/text';
import { askMount, removeMount } from './dialog';
import type { MountsModel } from './model';

/** Instance panel: the folders of buckets that the instance sees as files. */
export function MountsSection(props: { model: MountsModel; inSight: boolean }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  const { model, inSight } = props;
  useModel(model);
  const { list } = model;
  const add = { label: trans.__('Mount a folder…'), run: () => void askMount(platform, model, '') };
  return (
    <ReadSection
      title={trans.__('Mounted storage')}
      model={model}
      inSight={inSight}
      waiting={list ? null : trans.__('Reading what is mounted…')}
      add={list?.absent === '' ? add : undefined}
    >
      <ul className="mlp-list" aria-label={trans.__('Mounted storage')}>
        {list?.mounts.map(mount => (
          <Row key={mount.id} mount={mount} model={model} />
        ))}
      </ul>
      {list && <Remark absent={list.absent} none={list.mounts.length === 0} />}
    </ReadSection>
  );
}

function Remark({ absent, none }: { absent: string; none: boolean }): JSX.Element | null {
  const trans = useTrans();
  if (absent) {
    return <p className="mlp-note">{trans.__('Nothing can be mounted here: %1.', absent)}</p>;
  }
  return none ? (
    <p className="mlp-note">{trans.__('A folder of a bucket can be mounted: notebooks then read it like files.')}</p>
  ) : null;
}

function Row({ mount, model }: { mount: IMount; model: MountsModel }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  return (
    <li className="mlp-mount" title={mount.path}>
      <div className="mlp-row">
        <strong className="mlp-grow mlp-shrink">
          <Name>{mount.path.length > 40 ? mount.name : mount.path}</Name>
        </strong>
        <StateLabel state={mountState(trans, mount)} />
        <CopyButton text={mount.path} label={trans.__('Copy the path')} />
        <IconButton
          label={trans.__('Unmount %1…', mount.name)}
          icon={closeIcon}
          onClick={() => void removeMount(platform, model, mount)}
        />
      </div>
      <div className="mlp-faint mlp-ellipsis">
        {mount.source}
        {mount.read_only && ` · ${trans.__('for reading')}`}
      </div>
      {mount.message && <div className="mlp-item-why">{mount.message}</div>}
    </li>
  );
}
