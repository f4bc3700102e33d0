import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IImageFolder, IPackageChanges, ISavePreview } from '../api/models';
import { useTrans } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { Name } from '../ui/text';
import { shownPath } from './names';

interface IPreviewProps {
  load: (exclude: string[]) => Promise<ISavePreview>;
  exclude: string[];
  onExclude: (exclude: string[]) => void;
}

/** What goes into the image and what stays out; folders that are not ticked stay out too. */
export function SavePreview(props: IPreviewProps): JSX.Element {
  const trans = useTrans();
  const { preview, error, looking, again } = usePreview(props);
  if (error) {
    return <ErrorBox error={error} retry={again} />;
  }
  if (!preview) {
    return <Waiting>{trans.__('Looking for what has changed since the image…')}</Waiting>;
  }
  return (
    <div className="mlp-preview" aria-busy={looking}>
      <h4>
        {trans.__('Goes in')} <span className="mlp-faint">{goesIn(preview, trans)}</span>
      </h4>
      <Packages changes={preview.packages} />
      {preview.folders.length > 0 && <Folders {...props} folders={preview.folders} />}
      <h4>{trans.__('Stays out')}</h4>
      <LeftOut preview={preview} />
      {looking && <Waiting>{trans.__('Looking again…')}</Waiting>}
    </div>
  );
}

function usePreview({ load, exclude }: IPreviewProps) {
  const [preview, setPreview] = React.useState<ISavePreview | null>(null);
  const [error, setError] = React.useState<unknown>(null);
  const [looking, setLooking] = React.useState(true);
  const [round, setRound] = React.useState(0);
  React.useEffect(() => {
    let wanted = true;
    setLooking(true);
    setError(null);
    load(exclude)
      .then(
        seen => wanted && setPreview(seen),
        (failure: unknown) => wanted && setError(failure)
      )
      .finally(() => wanted && setLooking(false));
    return () => {
      wanted = false;
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- what is loaded depends on the paths alone
  }, [exclude.join('\n'), round]);
  return { preview, error, looking, again: () => setRound(value => value + 1) };
}

function goesIn(preview: ISavePreview, trans: TranslationBundle): string {
  if (preview.files === 0 && preview.removed === 0) {
    return trans.__('nothing has changed since %1', preview.parent_name);
  }
  const files = trans._n('one file', '%1 files', preview.files);
  return trans.__(
    '%1 in %2, on top of %3; the image holds them compressed',
    formatBytes(preview.size),
    files,
    preview.parent_name
  );
}

function Packages({ changes }: { changes: IPackageChanges }): JSX.Element | null {
  const trans = useTrans();
  const words = [
    ...changes.added.map(one => ({ key: one.name, tone: 'good', text: `+ ${one.name} ${one.version}` })),
    ...changes.changed.map(one => ({ key: one.name, tone: 'busy', text: `${one.name} ${one.old} → ${one.new}` })),
    ...changes.removed.map(one => ({ key: one.name, tone: 'warn', text: `− ${one.name} ${one.version}` }))
  ];
  if (words.length === 0) {
    return null;
  }
  return (
    <ul className="mlp-chips" aria-label={trans.__('Packages that differ')}>
      {words.map(({ key, tone, text }) => (
        <li key={key} data-tone={tone}>
          {text}
        </li>
      ))}
    </ul>
  );
}

function Folders(props: IPreviewProps & { folders: IImageFolder[] }): JSX.Element {
  const trans = useTrans();
  // A folder that was taken out is in the preview no more, but must be there to be taken in again.
  const known = React.useRef(new Map<string, IImageFolder>());
  props.folders.forEach(folder => known.current.set(folder.path, folder));
  const rows = [...known.current.values()].sort((one, other) => other.size - one.size);
  const tick = (path: string, isIn: boolean) =>
    props.onExclude(isIn ? props.exclude.filter(each => each !== path) : [...props.exclude, path]);
  return (
    <ul className="mlp-files" aria-label={trans.__('Biggest folders')}>
      {rows.map(folder => (
        <li key={folder.path}>
          <label className="mlp-tick" title={`/${folder.path}`}>
            <input
              type="checkbox"
              checked={!props.exclude.includes(folder.path)}
              onChange={event => tick(folder.path, event.target.checked)}
            />
            <Name>{shownPath(folder.path)}</Name>
          </label>
          <span className="mlp-number">{formatBytes(folder.size)}</span>
        </li>
      ))}
    </ul>
  );
}

function LeftOut({ preview }: { preview: ISavePreview }): JSX.Element {
  const trans = useTrans();
  const hidden = preview.left_out_count - preview.left_out.length;
  return (
    <ul className="mlp-files" aria-label={trans.__('Stays out')}>
      {preview.left_out.map(({ path, reason, size }) => (
        <li key={path}>
          <span title={path}>
            {shownPath(path)} <span className="mlp-faint">{reasonWords(reason, trans)}</span>
          </span>
          <span className="mlp-number">{size > 0 ? formatBytes(size) : ''}</span>
        </li>
      ))}
      {hidden > 0 && <li className="mlp-faint">{trans._n('and one more', 'and %1 more', hidden)}</li>}
    </ul>
  );
}

/** The platform's reasons in the user's language; one that is not known here stays as it is. */
function reasonWords(reason: string, trans: TranslationBundle): string {
  const known: Record<string, string> = {
    'may hold a secret': trans.__('may hold a secret'),
    'belongs to a running session': trans.__('belongs to a running session'),
    cache: trans.__('cache'),
    'a mount of the pod': trans.__('a mount of the pod'),
    'neither a file, a folder nor a link': trans.__('neither a file, a folder nor a link'),
    'leads outside the environment': trans.__('leads outside the environment'),
    'compiled modules, which are made anew': trans.__('compiled modules, which are made anew'),
    'left out by you': trans.__('left out by you'),
    'the work folder: your files stay with the instance': trans.__('the work folder: your files stay with the instance')
  };
  return known[reason] ?? reason;
}
