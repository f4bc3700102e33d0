import * as React from 'react';
import type { IMount, IMountCreate } from '../api/mounts';
import type { IEndpoint } from '../api/objects';
import type { IPlatform } from '../tokens';
import { useLoaded, usePlatform, useTrans } from '../ui/context';
import { ask, confirm, type FormDialog } from '../ui/dialog';
import { TextField } from '../ui/fields';
import type { MountsModel } from './model';
import { isMountName, isSource, suggestedName } from './names';

/** Ask what is to be mounted and as what; `source` is what was chosen already. */
export async function askMount(platform: IPlatform, model: MountsModel, source: string): Promise<void> {
  const { trans } = platform;
  const wish: IMountCreate = { source, name: '', read_only: false };
  await ask(platform, {
    title: trans.__('Mount a folder'),
    verb: trans.__('Mount'),
    focus: 'input',
    body: dialog => <MountForm wish={wish} dialog={dialog} />,
    accept: () => model.create({ ...wish, source: wish.source.trim() })
  });
}

/** Say what goes and what stays, then unmount. */
export function removeMount(platform: IPlatform, model: MountsModel, mount: IMount): Promise<void> {
  const { trans } = platform;
  return confirm(platform, {
    title: trans.__('Unmount %1?', mount.name),
    words: trans.__(
      'What was written to it is sent first, and stays in %1. Files that are open there break off.',
      mount.source
    ),
    verb: trans.__('Unmount'),
    accept: () => model.remove(mount)
  });
}

function MountForm({ wish, dialog }: { wish: IMountCreate; dialog: FormDialog<void> }): JSX.Element {
  const trans = useTrans();
  const [source, setSource] = React.useState(wish.source);
  const [name, setName] = React.useState<string | null>(null);
  const [readOnly, setReadOnly] = React.useState(false);
  const called = name ?? suggestedName(source);
  const ready = isSource(source) && isMountName(called);
  React.useEffect(() => {
    Object.assign(wish, { source, name: called, read_only: readOnly });
    dialog.canAccept = ready;
  }, [wish, dialog, source, called, readOnly, ready]);
  return (
    <>
      <SourceField source={source} choose={setSource} />
      <TextField
        label={trans.__('Name')}
        value={called}
        change={setName}
        wrong={
          called !== '' &&
          !isMountName(called) &&
          trans.__('A name has 1 to 64 letters, digits, dots, - and _, with a letter or a digit first.')
        }
      />
      <label className="mlp-check">
        <input type="checkbox" checked={readOnly} onChange={event => setReadOnly(event.target.checked)} />
        <span>{trans.__('For reading only')}</span>
      </label>
    </>
  );
}

function SourceField({ source, choose }: { source: string; choose: (source: string) => void }): JSX.Element {
  const platform = usePlatform();
  const { trans } = platform;
  const endpoints = useLoaded(() => platform.client.endpoints(), []);
  const buckets = endpoints.value?.filter(canBeMounted).flatMap(one => one.buckets) ?? [];
  return (
    <>
      <TextField
        label={trans.__('From')}
        value={source}
        change={choose}
        input={{ list: 'mlp-mount-sources', placeholder: 'obs://BUCKET/FOLDER/' }}
        hint={
          endpoints.value && buckets.length === 0
            ? trans.__(
                'None of your endpoints has a bucket that can be mounted. Add one in the console, below Storage.'
              )
            : trans.__('A folder of a bucket at an endpoint that gives keys to instances.')
        }
      />
      <datalist id="mlp-mount-sources">
        {buckets.map(bucket => (
          <option key={bucket} value={`obs://${bucket}/`} />
        ))}
      </datalist>
    </>
  );
}

function canBeMounted({ provider, keys }: IEndpoint): boolean {
  return provider !== 'local' && keys !== 'none';
}
