import { Notification } from '@jupyterlab/apputils';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import * as React from 'react';
import type { IObject } from '../api/models';
import type { IPlatform } from '../tokens';
import { ask, confirm, type FormDialog } from '../ui/dialog';
import { useTrans } from '../ui/context';
import { formatBytes } from '../ui/format';
import type { ILocalFile } from './local-files';
import type { StorageModel } from './model';
import { isBucketName, nameOf, obsUrl } from './paths';
import type { TransfersModel } from './transfers';

/** What can be done in the storage panel. */
export interface IStorageActions {
  newBucket: () => void;
  /** Send files to the place that is open. */
  upload: (files: Promise<ILocalFile[]>) => void;
  copyPath: (key: string) => void;
  copyToWork: (object: IObject) => void;
  deleteObject: (object: IObject) => void;
  deleteBucket: (name: string) => void;
}

export class StorageActions implements IStorageActions {
  constructor(
    private readonly platform: IPlatform,
    private readonly model: StorageModel,
    private readonly transfers: TransfersModel,
    private readonly browser: IFileBrowserFactory | null
  ) {}

  readonly newBucket = () => {
    const { trans } = this.platform;
    const bucket = { name: '' };
    void ask(this.platform, {
      title: trans.__('New bucket'),
      verb: trans.__('Create'),
      focus: 'input',
      body: dialog => <BucketForm bucket={bucket} dialog={dialog} />,
      accept: () => this.model.createBucket(bucket.name)
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

  readonly deleteBucket = (name: string) => {
    this._report(this._deleteBucket(name));
  };

  private async _deletePrefix(object: IObject): Promise<void> {
    const { trans } = this.platform;
    const found = await this.model.count(object.key);
    await this._confirm(trans.__('Delete the folder %1?', nameOf(object.key)), this._verb(found), () =>
      this.model.remove(object)
    );
  }

  private async _deleteBucket(name: string): Promise<void> {
    const { trans } = this.platform;
    const found = await this.model.count(`${name}/`);
    const isEmpty = found.objects === 0;
    await this._confirm(
      trans.__('Delete the bucket %1?', name),
      isEmpty ? trans.__('Delete the empty bucket') : this._verb(found),
      () => this.model.removeBucket(name, isEmpty)
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

function BucketForm({ bucket, dialog }: { bucket: { name: string }; dialog: FormDialog<void> }): JSX.Element {
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
    <label className="mlp-field">
      <span>{trans.__('Name')}</span>
      <input
        className="jp-mod-styled"
        value={name}
        placeholder="datasets"
        aria-invalid={name !== '' && isBad}
        onChange={event => change(event.target.value)}
      />
      <span className="mlp-faint">
        {trans.__('3 to 63 small letters, digits, . and -. Its path will be obs://%1/', name || '…')}
      </span>
    </label>
  );
}
