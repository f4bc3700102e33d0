import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';
import type { IObject, IObjectLink } from '../api/objects';
import type { IPlatform } from '../tokens';
import { PlatformProvider, usePlatform, useTrans } from '../ui/context';
import { ask, type FormDialog } from '../ui/dialog';
import { ErrorBox, Waiting } from '../ui/feedback';
import { ChoiceField, TextField } from '../ui/fields';
import { formatBytes, formatExact } from '../ui/format';
import { CopyButton } from '../ui/text';
import type { StorageModel } from './model';
import { nameOf, obsUrl, parentOf } from './paths';
import { Preview } from './preview';

/** Show something of an object until the dialog is closed. */
export function show(platform: IPlatform, title: string, body: JSX.Element): void {
  const buttons = [Dialog.okButton({ label: platform.trans.__('Close') })];
  const content = <PlatformProvider platform={platform}>{body}</PlatformProvider>;
  void showDialog({ title, body: content, buttons });
}

export function showPreview(platform: IPlatform, object: IObject, endpoint: string): void {
  show(platform, nameOf(object.key), <Preview object={object} endpoint={endpoint} />);
}

export function showProperties(platform: IPlatform, object: IObject, endpoint: string): void {
  const title = platform.trans.__('Properties of %1', nameOf(object.key));
  show(platform, title, <Properties object={object} endpoint={endpoint} />);
}

function Properties({ object, endpoint }: { object: IObject; endpoint: string }): JSX.Element {
  const { trans, client, language } = usePlatform();
  const [facts, setFacts] = React.useState<[string, string][] | null>(null);
  const [error, setError] = React.useState<unknown>(null);
  React.useEffect(() => {
    const read = object.is_prefix
      ? client.countObjects(object.key, endpoint).then(({ objects, bytes, more }): [string, string][] => [
          [trans.__('Objects'), more ? trans.__('more than %1', objects) : String(objects)],
          [trans.__('Size'), formatBytes(bytes)]
        ])
      : client.objectFacts(object.key, endpoint).then(({ size, modified_at, tag }): [string, string][] => [
          [trans.__('Size'), trans.__('%1 (%2 bytes)', formatBytes(size), size)],
          [trans.__('Changed'), modified_at ? formatExact(new Date(modified_at), language) : '–'],
          [trans.__('Tag of the content'), tag || '–']
        ]);
    read.then(setFacts, setError);
  }, [client, endpoint, language, object, trans]);
  if (error !== null) {
    return <ErrorBox error={error} />;
  }
  if (!facts) {
    return <Waiting>{trans.__('Asking the store…')}</Waiting>;
  }
  return (
    <dl className="mlp-facts">
      <dt>{trans.__('Path')}</dt>
      <dd>
        {obsUrl(object.key)} <CopyButton text={obsUrl(object.key)} label={trans.__('Copy %1', obsUrl(object.key))} />
      </dd>
      {facts.map(([name, value]) => (
        <React.Fragment key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}

/** A new name in the same folder. */
export function askName(platform: IPlatform, model: StorageModel, object: IObject): void {
  const { trans } = platform;
  const wish = { text: nameOf(object.key) };
  const end = object.is_prefix ? '/' : '';
  const target = () => parentOf(object.key) + wish.text + end;
  void ask(platform, {
    title: trans.__('Rename %1', nameOf(object.key)),
    verb: trans.__('Rename'),
    focus: 'input',
    body: dialog => (
      <WishField
        wish={wish}
        dialog={dialog}
        label={trans.__('Name')}
        isBad={text => text === '' || text.includes('/') || text === nameOf(object.key)}
        hint={trans.__('Objects are copied to the new name, then deleted: it takes as long as that.')}
      />
    ),
    accept: () => model.copy(object, target(), model.endpoint, true)
  });
}

/** Another place, at any endpoint, to copy or move something to. */
export function askPlace(platform: IPlatform, model: StorageModel, object: IObject, move: boolean): void {
  const { trans } = platform;
  const wish = { text: obsUrl(object.key), endpoint: model.endpoint };
  const name = nameOf(object.key);
  const target = () => {
    const path = wish.text.trim().replace(/^(obs|s3):\/\//, '');
    return object.is_prefix && !path.endsWith('/') ? `${path}/` : path;
  };
  void ask(platform, {
    title: move ? trans.__('Move %1', name) : trans.__('Copy %1', name),
    verb: move ? trans.__('Move') : trans.__('Copy'),
    focus: 'input',
    body: dialog => (
      <>
        <EndpointField wish={wish} names={(model.endpoints ?? []).map(({ name }) => name)} />
        <WishField
          wish={wish}
          dialog={dialog}
          label={trans.__('To')}
          isBad={text => !/^(obs|s3):\/\/[^/]+\/./.test(text.trim()) || text.trim() === obsUrl(object.key)}
          hint={trans.__('The whole path: obs://BUCKET/FOLDER/NAME. Nothing there is replaced.')}
        />
      </>
    ),
    accept: () => model.copy(object, target(), wish.endpoint, move)
  });
}

/** At which endpoint; nothing where there is but one. */
export function EndpointField({ wish, names }: { wish: { endpoint: string }; names: string[] }): JSX.Element | null {
  const trans = useTrans();
  const [chosen, setChosen] = React.useState(wish.endpoint);
  if (names.length < 2) {
    return null;
  }
  const change = (name: string) => {
    wish.endpoint = name;
    setChosen(name);
  };
  return (
    <ChoiceField label={trans.__('Endpoint')} value={chosen} change={change}>
      {names.map(name => (
        <option key={name} value={name}>
          {name === 'local' ? trans.__('On this platform') : name}
        </option>
      ))}
    </ChoiceField>
  );
}

interface IWishFieldProps {
  wish: { text: string };
  dialog: FormDialog<void>;
  label: string;
  hint: string;
  isBad: (text: string) => boolean;
}

function WishField({ wish, dialog, label, hint, isBad }: IWishFieldProps): JSX.Element {
  const [text, setText] = React.useState(wish.text);
  const bad = isBad(text);
  React.useEffect(() => {
    dialog.canAccept = !bad;
  }, [dialog, bad]);
  const change = (value: string) => {
    wish.text = value;
    setText(value);
  };
  return <TextField label={label} hint={hint} value={text} change={change} />;
}

const HOUR = 3600;

/** A link for others, for as long as is chosen. */
export function askLink(platform: IPlatform, object: IObject, endpoint: string): void {
  const { trans, client } = platform;
  const wish = { seconds: HOUR };
  void ask<IObjectLink>(platform, {
    title: trans.__('Link to %1', nameOf(object.key)),
    verb: trans.__('Make the link'),
    body: () => (
      <>
        <p>{trans.__('Whoever has the link can get this object, without a login, until the link ends.')}</p>
        <SpanField wish={wish} />
      </>
    ),
    accept: () => client.linkObject(object.key, endpoint, wish.seconds)
  }).then(link => link && showLink(platform, object, link));
}

function SpanField({ wish }: { wish: { seconds: number } }): JSX.Element {
  const trans = useTrans();
  const [seconds, setSeconds] = React.useState(wish.seconds);
  const change = (value: string) => setSeconds((wish.seconds = Number(value)));
  return (
    <ChoiceField label={trans.__('Good for')} value={String(seconds)} change={change}>
      <option value={HOUR}>{trans.__('An hour')}</option>
      <option value={24 * HOUR}>{trans.__('A day')}</option>
      <option value={7 * 24 * HOUR}>{trans.__('A week')}</option>
    </ChoiceField>
  );
}

function showLink(platform: IPlatform, object: IObject, link: IObjectLink): void {
  const { trans, language } = platform;
  const until = formatExact(new Date(link.expires_at), language);
  show(
    platform,
    trans.__('Link to %1', nameOf(object.key)),
    <div>
      <p>
        {trans.__('Good until %1, and no longer than the keys that made it.', until)}{' '}
        <CopyButton text={link.url} label={trans.__('Copy the link')} />
      </p>
      <textarea className="mlp-link-text" readOnly rows={5} value={link.url} onFocus={event => event.target.select()} />
    </div>
  );
}
