import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import type { IEvent, IJob, ITouch } from '../api/models';
import { concerns } from '../api/nouns';
import { Refresher } from '../api/refresher';
import { ApiError } from '../api/transport';
import type { EventStream } from '../api/events';
import type { IPlatform } from '../tokens';

/** One job as its page shows it. `progressed` tells that what it leaves (cells, metrics, files) may have grown. */
export class JobPageModel implements IDisposable {
  constructor(
    private readonly platform: IPlatform,
    readonly id: string
  ) {
    platform.events.changed.connect(this._onChanged, this);
    platform.events.touched.connect(this._onTouched, this);
    platform.events.connected.connect(this._onConnected, this);
    platform.identity.then(
      () => this.refresh(),
      (error: unknown) => this._fail(error)
    );
  }

  readonly changed = new Signal<this, void>(this);
  readonly progressed = new Signal<this, void>(this);

  job: IJob | null = null;
  error: unknown = null;
  isDeleted = false;
  isDisposed = false;

  dispose(): void {
    this.isDisposed = true;
    Signal.clearData(this);
  }

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  private async _load(): Promise<void> {
    try {
      this.job = await this.platform.client.job(this.id);
      this.error = null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        this.isDeleted = true;
      }
      this.error = error;
    }
    this.changed.emit();
    this.progressed.emit();
  }

  private _fail(error: unknown): void {
    this.error = error;
    this.changed.emit();
  }

  private _onChanged(_: EventStream, event: IEvent): void {
    this._onTouched(_, event);
  }

  private _onTouched(_: EventStream, touch: ITouch): void {
    if (concerns(touch, 'job') && touch.resource_id === this.id) {
      void this.refresh();
    }
  }

  private _onConnected(_: EventStream, connected: boolean): void {
    if (connected) {
      void this.refresh();
    }
  }

  private _refresher = new Refresher(() => this._load(), 1000);
}
