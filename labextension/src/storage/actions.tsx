import { Notification } from '@jupyterlab/apputils';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import * as React from 'react';
import { isShared, type IObject } from '../api/objects';
import type { IPlatform } from '../tokens';
import { ask, confirm, type FormDialog } from '../ui/dialog';
import { useTrans } from '../ui/context';
import { TextField } from '../ui/fields';
import { formatBytes } from '../ui/format';
import { canOpen } from './drive';
import { showGone } from './gone';
import type { ILocalFile } from './local-files';
import type { StorageModel } from './model';
import { askLink, askName, askPlace, EndpointField, showPreview, showProperties } from './object-dialogs';
import { isBucketName, nameOf, obsUrl } from './paths';
import { type IChoice, openMenu } from './row-menu';
import { showVersions } from './versions';
import type { TransfersModel } from './transfers';

/** What can be done in the storage panel. */
export interface IStorageActions {
  newBucket: () => void;
  /** Send files to the place that is open. */
  upload: (files: Promise<ILocalFile[]>) => void;
  /** What was deleted in the place that is open. */
  gone: () => void;
  copyPath: (key: string) => void;
  copyToWork: (object: IObject) => void;
  deleteObject: (object: IObject) => void;
  deleteBucket: (name: string, endpoint: string) => void;
  preview: (object: IObject) => void;
  /** The menu of what else can be done with an object or a folder. */
  more: (object: IObject, anchor: HTMLElement) => void;
}

export class StorageActions implements IStorageActions {
  constructor(
    private readonly platform: IPlatform,
    private readonly model: StorageModel,
    private readonly transfers: TransfersModel,
    private readonly browser: IFileBrowserFactory | null,
    private readonly open: (key: string) => void,
    private readonly mount: (source: string) => void
  ) {}

  readonly newBucket = () => {
    const { trans } = this.platform;
    const bucket = { name: '', endpoint: 'local' };
    const ours = (this.model.endpoints ?? []).filter(one => one.all_buckets && !isShared(one));
    const places = ours.map(({ name }) => name);
    void ask(this.platform, {
      title: trans.__('New bucket'),
      verb: trans.__('Create'),
      focus: 'input',
      body: dialog => <BucketForm bucket={bucket} places={places} dialog={dialog} />,
      accept: () => this.model.createBucket(bucket.name, bucket.endpoint)
    });
  };

  readonly upload = (files: Promise<ILocalFile[]>) => {
    const { place } = this.model;
    if (place === '') {
      const words = this.platform.trans.__('Open the bucket that it is to go to, then copy again.');
      Notification.info(words, { autoClose: 6000 });
    } else {
      this._report(files.then(found => this.transfers.upload(found, place)));
    }
  };

  readonly gone = () => {
    const { model } = this;
    showGone(this.platform, model.place, model.endpoint, () => void model.refresh());
  };

  readonly copyPath = (key: string) => {
    const { trans } = this.platform;
    void navigator.clipboard.writeText(obsUrl(key)).then(() => {
      Notification.info(trans.__('Copied %1', obsUrl(key)), { autoClose: 2000 });
    });
  };

  readonly copyToWork = (object: IObject) => {
    const folder = this.browser?.tracker.currentWidget?.model.path ?? '';
    const name = nameOf(object.key);
    this._report(this.transfers.copy(obsUrl(object.key), folder ? `${folder}/${name}` : name));
  };

  readonly deleteObject = (object: IObject) => {
    if (object.is_prefix) {
      this._report(this._deletePrefix(object));
    } else {
      const { trans } = this.platform;
      void this._confirm(
        trans.__('Delete %1?', nameOf(object.key)),
        trans.__('Delete %1', formatBytes(object.size)),
        () => this.model.remove(object)
      );
    }
  };

  readonly deleteBucket = (name: string, endpoint: string) => {
    this._report(this._deleteBucket(name, endpoint));
  };

  readonly preview = (object: IObject) => showPreview(this.platform, object, this.model.endpoint);

  readonly more = (object: IObject, anchor: HTMLElement) => {
    const { platform, model } = this;
    const { trans } = platform;
    const choices: IChoice[] = [
      {
        id: 'properties',
        label: trans.__('Properties'),
        execute: () => showProperties(platform, object, model.endpoint)
      },
      { id: 'rename', label: trans.__('Rename…'), execute: () => askName(platform, model, object) },
      { id: 'copy', label: trans.__('Copy to…'), execute: () => askPlace(platform, model, object, false) },
      { id: 'move', label: trans.__('Move to…'), execute: () => askPlace(platform, model, object, true) }
    ];
    if (!object.is_prefix) {
      const { endpoint } = model;
      if (canOpen(object.key)) {
        choices.unshift({ id: 'open', label: trans.__('Open'), execute: () => this.open(object.key) });
      }
      choices.unshift({ id: 'preview', label: trans.__('Preview'), execute: () => this.preview(object) });
      if (!model.isBuiltin) {
        choices.push({
          id: 'versions',
          label: trans.__('Versions…'),
          execute: () => showVersions(platform, object, endpoint, () => void model.refresh())
        });
        choices.push({ id: 'link', label: trans.__('Link…'), execute: () => askLink(platform, object, endpoint) });
      }
    }
    if (object.is_prefix && !model.isBuiltin) {
      const execute = () => this.mount(obsUrl(object.key));
      choices.push({ id: 'mount', label: trans.__('Mount in the instance…'), execute });
    }
    openMenu(anchor, choices);
  };

  private async _deletePrefix(object: IObject): Promise<void> {
    const { trans } = this.platform;
    const found = await this.model.count(object.key);
    await this._confirm(trans.__('Delete the folder %1?', nameOf(object.key)), this._verb(found), () =>
      this.model.remove(object)
    );
  }

  private async _deleteBucket(name: string, endpoint: string): Promise<void> {
    const { trans } = this.platform;
    const found = await this.model.count(`${name}/`, endpoint);
    const isEmpty = found.objects === 0;
    await this._confirm(
      trans.__('Delete the bucket %1?', name),
      isEmpty ? trans.__('Delete the empty bucket') : this._verb(found),
      () => this.model.removeBucket(name, endpoint, isEmpty)
    );
  }

  /** "Delete 214 objects (1.2 GiB)". */
  private _verb({ objects, bytes, more }: { objects: number; bytes: number; more: boolean }): string {
    const { trans } = this.platform;
    const size = formatBytes(bytes);
    return more
      ? trans.__('Delete more than %1 objects (%2)', objects, size)
      : trans._n('Delete one object (%2)', 'Delete %1 objects (%2)', objects, size);
  }

  private async _confirm(title: string, verb: string, accept: () => Promise<void>): Promise<void> {
    const words = this.platform.trans.__('It cannot be brought back.');
    await confirm(this.platform, { title, words, verb, accept });
  }

  private _report(work: Promise<void>): void {
    work.catch((error: Error) => Notification.error(error.message, { autoClose: false }));
  }
}

interface IBucketForm {
  bucket: { name: string; endpoint: string };
  /** The endpoints at which one can be made. */
  places: string[];
  dialog: FormDialog<void>;
}

function BucketForm({ bucket, places, dialog }: IBucketForm): JSX.Element {
  const trans = useTrans();
  const [name, setName] = React.useState(bucket.name);
  const isBad = !isBucketName(name);
  React.useEffect(() => {
    dialog.canAccept = !isBad;
  }, [dialog, isBad]);
  const change = (text: string) => {
    bucket.name = text;
    setName(text);
  };
  return (
    <>
      <EndpointField wish={bucket} names={places} />
      <TextField
        label={trans.__('Name')}
        value={name}
        change={change}
        input={{ placeholder: 'datasets', 'aria-invalid': name !== '' && isBad }}
        hint={trans.__('3 to 63 small letters, digits, . and -. Its path will be obs://%1/', name || '…')}
      />
    </>
  );
}
