import * as React from 'react';
import type { IPlatform } from '../tokens';
import { usePlatform } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { Ago } from '../ui/text';
import { show } from './object-dialogs';
import { nameOf } from './paths';
import { useRestoring } from './restoring';

/** What was deleted below a place, each of which can be brought back. */
export function showGone(platform: IPlatform, place: string, endpoint: string, restored: () => void): void {
  const body = <GoneObjects place={place} endpoint={endpoint} restored={restored} />;
  show(platform, platform.trans.__('Deleted in %1', nameOf(place)), body);
}

interface IGoneProps {
  place: string;
  endpoint: string;
  restored: () => void;
}

function GoneObjects({ place, endpoint, restored }: IGoneProps): JSX.Element {
  const { client, trans } = usePlatform();
  const read = React.useCallback(() => client.goneObjects(place, endpoint), [client, place, endpoint]);
  const { found, error, isBusy, restore } = useRestoring(read, endpoint, restored);
  if (error !== null) {
    return <ErrorBox error={error} />;
  }
  if (!found) {
    return <Waiting>{trans.__('Asking the store…')}</Waiting>;
  }
  if (found.objects.length === 0) {
    return <p>{trans.__('Nothing. A store keeps what was deleted where versions are switched on for the bucket.')}</p>;
  }
  return (
    <>
      <ul className="mlp-versions">
        {found.objects.map(object => (
          <li key={object.key}>
            <span className="mlp-grow mlp-ellipsis" title={object.key}>
              {object.key.slice(place.length)}
            </span>
            <span className="mlp-number">{formatBytes(object.size)}</span>
            <span className="mlp-faint">
              <Ago moment={object.deleted_at} />
            </span>
            <button
              type="button"
              className="mlp-link"
              disabled={isBusy}
              onClick={() => restore(object.key, object.version)}
            >
              {trans.__('Restore')}
            </button>
          </li>
        ))}
      </ul>
      {found.more && <p className="mlp-faint">{trans.__('There are more. Open a folder to see those in it.')}</p>}
    </>
  );
}
