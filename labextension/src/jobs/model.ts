import { Signal } from '@lumino/signaling';
import type { IJob } from '../api/models';
import { concerns } from '../api/nouns';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';

/** The user's newest jobs, newest first, kept fresh by the event stream. */
export class JobsModel {
  constructor(private readonly platform: IPlatform) {
    const { events } = platform;
    events.changed.connect((_, event) => concerns(event, 'job') && void this.refresh());
    events.touched.connect((_, touch) => concerns(touch, 'job') && this._touch(touch.resource_id));
    events.connected.connect((_, connected) => connected && void this.refresh());
    platform.identity.then(
      () => this.refresh(),
      (error: unknown) => this._failed(error)
    );
  }

  readonly changed = new Signal<this, void>(this);

  /** Null before the first answer. */
  jobs: IJob[] | null = null;
  /** All that there are, shown or not. */
  total = 0;
  error: unknown = null;

  refresh(): Promise<void> {
    return this._all.request();
  }

  private async _load(): Promise<void> {
    try {
      const page = await this.platform.client.jobs();
      this.jobs = page.data;
      this.total = page.total;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed.emit();
  }

  private _touch(id: string): void {
    this._touched.add(id);
    void this._some.request();
  }

  private async _loadTouched(): Promise<void> {
    const ids = [...this._touched];
    this._touched.clear();
    const read = await Promise.allSettled(ids.map(id => this.platform.client.job(id)));
    const fresh = new Map(read.flatMap(one => (one.status === 'fulfilled' ? [[one.value.id, one.value]] : [])));
    this.jobs = this.jobs?.map(job => fresh.get(job.id) ?? job) ?? null;
    this.changed.emit();
  }

  private _failed(error: unknown): void {
    this.error = error;
    this.changed.emit();
  }

  private _all = new Refresher(() => this._load());
  private _some = new Refresher(() => this._loadTouched(), 1000);
  private _touched = new Set<string>();
}
