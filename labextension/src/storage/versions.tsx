import * as React from 'react';
import type { IObject, IObjectVersion } from '../api/objects';
import type { IPlatform } from '../tokens';
import { usePlatform } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { Ago } from '../ui/text';
import { show } from './object-dialogs';
import { nameOf } from './paths';
import { useRestoring } from './restoring';

/** The versions of an object, each of which can be made the latest again. */
export function showVersions(platform: IPlatform, object: IObject, endpoint: string, restored: () => void): void {
  const body = <Versions object={object} endpoint={endpoint} restored={restored} />;
  show(platform, platform.trans.__('Versions of %1', nameOf(object.key)), body);
}

interface IVersionsProps {
  object: IObject;
  endpoint: string;
  restored: () => void;
}

function Versions({ object, endpoint, restored }: IVersionsProps): JSX.Element {
  const { client, trans } = usePlatform();
  const read = React.useCallback(() => client.objectVersions(object.key, endpoint), [client, object.key, endpoint]);
  const { found: versions, error, isBusy, restore } = useRestoring(read, endpoint, restored);
  if (error !== null) {
    return <ErrorBox error={error} />;
  }
  if (!versions) {
    return <Waiting>{trans.__('Asking the store…')}</Waiting>;
  }
  return (
    <>
      {versions.length === 1 && (
        <p>{trans.__('There is this one only. A store keeps versions where they are switched on for the bucket.')}</p>
      )}
      <ul className="mlp-versions">
        {versions.map(version => (
          <Row key={version.id} version={version} isBusy={isBusy} restore={() => restore(object.key, version.id)} />
        ))}
      </ul>
    </>
  );
}

function Row(props: { version: IObjectVersion; isBusy: boolean; restore: () => void }): JSX.Element {
  const { trans } = usePlatform();
  const { version } = props;
  return (
    <li>
      <span className="mlp-grow">{version.modified_at && <Ago moment={version.modified_at} />}</span>
      <span className="mlp-number">{version.is_deletion ? trans.__('Deleted') : formatBytes(version.size)}</span>
      {version.is_latest ? (
        <span className="mlp-faint">{trans.__('Now')}</span>
      ) : (
        !version.is_deletion && (
          <button type="button" className="mlp-link" disabled={props.isBusy} onClick={props.restore}>
            {trans.__('Restore')}
          </button>
        )
      )}
    </li>
  );
}
