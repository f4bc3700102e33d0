import { Notification } from '@jupyterlab/apputils';
import { Signal } from '@lumino/signaling';
import type { ITouch } from '../api/models';
import type { IMount, IMountCreate, IMountList } from '../api/mounts';
import { concerns } from '../api/nouns';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';

/** The folders of buckets that this instance sees as files; read when somebody looks. */
export class MountsModel {
  constructor(private readonly platform: IPlatform) {
    platform.events.changed.connect((_, event) => this._mind(event));
    platform.events.touched.connect((_, touch) => this._mind(touch));
  }

  readonly changed = new Signal<this, void>(this);

  /** Null before they were read. */
  list: IMountList | null = null;
  /** Why they could not be read; null when they could. */
  error: unknown = null;

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  async create(wanted: IMountCreate): Promise<void> {
    await this.platform.client.createMount(await this._id(), wanted);
    await this.refresh();
  }

  async remove(mount: IMount): Promise<void> {
    await this.platform.client.removeMount(mount.instance_id, mount.id);
    await this.refresh();
  }

  private _mind(change: ITouch): void {
    if (this.list !== null && concerns(change, 'instance')) {
      void this.refresh();
    }
  }

  private async _load(): Promise<void> {
    try {
      const list = await this.platform.client.mounts(await this._id());
      this._tell(list);
      this.list = list;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed.emit();
  }

  /** Say where it is once what was being mounted is there. */
  private _tell(list: IMountList): void {
    const before = new Map(this.list?.mounts.map(({ id, status }) => [id, status]));
    for (const { id, status, path } of list.mounts) {
      if (status === 'MOUNTED' && before.get(id) === 'MOUNTING') {
        Notification.success(this.platform.trans.__('Mounted: %1', path), { autoClose: 5000 });
      }
    }
  }

  private async _id(): Promise<string> {
    return (await this.platform.identity).instance_id ?? '';
  }

  private _refresher = new Refresher(() => this._load());
}
