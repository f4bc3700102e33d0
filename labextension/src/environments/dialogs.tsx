import * as React from 'react';
import type { IEnvironment, IEnvironmentFile } from '../api/models';
import type { IPlatform } from '../tokens';
import { useLoaded, useTrans } from '../ui/context';
import { ask, confirm, type FormDialog } from '../ui/dialog';
import { ErrorBox, Waiting } from '../ui/feedback';
import { ChoiceField, TextField } from '../ui/fields';
import { formatBytes } from '../ui/format';
import type { EnvironmentsModel } from './model';
import { freeName, isEnvironmentName } from './names';

interface IWish {
  name: string;
  file: string;
}

function taken(model: EnvironmentsModel): ReadonlySet<string> {
  return new Set(model.environments?.map(({ name }) => name));
}

/** Ask for a file and a name, and begin to make the environment. */
export async function newEnvironment(platform: IPlatform, model: EnvironmentsModel): Promise<void> {
  const { trans } = platform;
  const wish: IWish = { name: '', file: '' };
  await ask(platform, {
    title: trans.__('New environment'),
    verb: trans.__('Create'),
    focus: 'select',
    body: dialog => <NewForm wish={wish} dialog={dialog} model={model} />,
    accept: () => model.create(wish.name, wish.file)
  });
}

/** Ask for a name, and begin to copy the environment. */
export async function cloneEnvironment(platform: IPlatform, model: EnvironmentsModel, original: string): Promise<void> {
  const { trans } = platform;
  const wish: IWish = { name: '', file: '' };
  const suggested = freeName(`${original}-copy`, taken(model));
  await ask(platform, {
    title: trans.__('Clone %1', original),
    verb: trans.__('Clone'),
    focus: 'input',
    body: dialog => <NameField wish={wish} dialog={dialog} model={model} suggested={suggested} />,
    accept: () => model.clone(wish.name, original)
  });
}

/** Say what goes and what stays, then remove the environment. */
export function removeEnvironment(
  platform: IPlatform,
  model: EnvironmentsModel,
  environment: IEnvironment
): Promise<void> {
  const { trans } = platform;
  const words = trans.__(
    'Its kernel and its packages (%1) go. Your notebooks stay, and images that were saved with it keep it.',
    formatBytes(environment.size)
  );
  return confirm(platform, {
    title: trans.__('Remove %1?', environment.name),
    words,
    verb: trans.__('Remove'),
    accept: () => model.remove(environment.name)
  });
}

interface IFormProps {
  wish: IWish;
  dialog: FormDialog<void>;
  model: EnvironmentsModel;
}

function NewForm(props: IFormProps): JSX.Element {
  const trans = useTrans();
  const { dialog, model } = props;
  const files = useLoaded(() => model.files(), []);
  const ready = files.value !== undefined;
  React.useEffect(() => {
    dialog.canAccept = ready;
  }, [dialog, ready]);
  if (files.error !== undefined) {
    return <ErrorBox error={files.error} />;
  }
  return files.value ? (
    <Choice {...props} files={files.value} />
  ) : (
    <Waiting>{trans.__('Looking for files to make it from…')}</Waiting>
  );
}

function Choice(props: IFormProps & { files: IEnvironmentFile[] }): JSX.Element {
  const { wish, model, files } = props;
  const [chosen, setChosen] = React.useState(files[0]);
  wish.file = chosen?.name ?? '';
  const suggested = freeName(chosen?.title ?? '', taken(model));
  return (
    <>
      <Files files={files} chosen={wish.file} choose={setChosen} />
      <NameField key={wish.file} {...props} suggested={suggested} />
    </>
  );
}

function isShipped(file: IEnvironmentFile): boolean {
  return file.name.startsWith('platform:');
}

interface IFilesProps {
  files: IEnvironmentFile[];
  chosen: string;
  choose: (file: IEnvironmentFile) => void;
}

function Files({ files, chosen, choose }: IFilesProps): JSX.Element {
  const trans = useTrans();
  const file = files.find(({ name }) => name === chosen);
  const group = (label: string, members: IEnvironmentFile[]) =>
    members.length > 0 && (
      <optgroup label={label}>
        {members.map(({ name, path }) => (
          <option key={name} value={name}>
            {name.startsWith('platform:') ? path.slice(path.lastIndexOf('/') + 1) : name}
          </option>
        ))}
      </optgroup>
    );
  return (
    <>
      <ChoiceField
        label={trans.__('From')}
        value={chosen}
        change={value => choose(files.find(({ name }) => name === value)!)}
      >
        {group(trans.__('Of the platform'), files.filter(isShipped))}
        {group(
          trans.__('In your work folder'),
          files.filter(each => !isShipped(each))
        )}
      </ChoiceField>
      {file?.description && <p className="mlp-note">{file.description}</p>}
      <p className="mlp-note">
        {trans.__('A requirements.txt, pyproject.toml or conda .yml in your work folder is offered here too.')}
      </p>
    </>
  );
}

function NameField({ wish, dialog, model, suggested }: IFormProps & { suggested: string }): JSX.Element {
  const trans = useTrans();
  const [name, setName] = React.useState(suggested);
  const exists = taken(model).has(name);
  const isBad = name !== '' && !isEnvironmentName(name);
  React.useEffect(() => {
    wish.name = name;
    dialog.canAccept = isEnvironmentName(name) && !exists;
  }, [wish, dialog, name, exists]);
  const wrong = isBad
    ? trans.__('A name has 1 to 64 small letters, digits, - and _, and is not base.')
    : exists && trans.__('There is one of this name already.');
  return <TextField label={trans.__('Name')} value={name} change={setName} wrong={wrong} />;
}
