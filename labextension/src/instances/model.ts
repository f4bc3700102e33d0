import { Signal } from '@lumino/signaling';
import type { IEvent, IFlavorChoice, IInstance } from '../api/models';
import { Refresher } from '../api/refresher';
import { concerns } from '../api/nouns';
import type { IPlatform } from '../tokens';

/** The instance that this Lab runs on, kept fresh by the event stream. */
export class InstanceModel {
  constructor(private readonly platform: IPlatform) {
    platform.events.changed.connect((_, event) => this._take(event));
    platform.events.connected.connect((_, connected) => {
      if (connected) {
        void this.refresh();
      } else {
        this.changed.emit();
      }
    });
    void this.refresh();
  }

  readonly changed = new Signal<this, void>(this);
  /** A switch asked for here has ended: with the flavor wanted, or (false) without. */
  readonly switched = new Signal<this, boolean>(this);

  instance: IInstance | null = null;
  /** Its newest events, newest first; null before they were asked for. */
  events: IEvent[] | null = null;
  /** Where it may switch to; null before that was asked for. */
  choices: IFlavorChoice[] | null = null;
  /** Why it could not be read; null when it could. */
  error: unknown = null;
  /** Whether this page is about to go to the console, because the server ends. */
  isLeaving = false;

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  async id(): Promise<string> {
    const { instance_id: id } = await this.platform.identity;
    if (!id) {
      throw new Error(this.platform.trans.__('This Lab does not run on an instance of the platform.'));
    }
    return id;
  }

  async loadEvents(): Promise<void> {
    this.events = await this.platform.client.events('instances', await this.id());
    this.changed.emit();
  }

  async loadChoices(): Promise<void> {
    this.choices = await this.platform.client.flavorChoices(await this.id());
    this.changed.emit();
  }

  /** Ask for another flavor; the switch itself is seen as the instance changes. */
  async switchTo(flavor: string, restart: boolean): Promise<void> {
    const id = await this.id();
    // The answer may be older than what the events have told meanwhile, so it is not shown.
    const ask = () => this.platform.client.switchFlavor(id, flavor, restart);
    if (restart) {
      await this._leaveWith(ask);
      return;
    }
    await ask();
    this._wantedFlavor = flavor;
    await this.refresh();
  }

  async stop(): Promise<void> {
    const id = await this.id();
    await this._leaveWith(() => this.platform.client.stopInstance(id));
  }

  /** Ask for something that ends the server: from then on whoever asked leads this page away. */
  private async _leaveWith(ask: () => Promise<unknown>): Promise<void> {
    this.isLeaving = true;
    try {
      await ask();
    } catch (error) {
      this.isLeaving = false;
      throw error;
    }
  }

  private async _load(): Promise<void> {
    try {
      this.instance = await this.platform.client.instance(await this.id());
      this.error = null;
      await Promise.all([this.events && this.loadEvents(), this.choices && this.loadChoices()]);
    } catch (error) {
      this.error = error;
    }
    this.changed.emit();
    this._noticeSwitch();
  }

  private _noticeSwitch(): void {
    const wanted = this._wantedFlavor;
    if (wanted && this.instance && this.instance.target_flavor === null) {
      this._wantedFlavor = null;
      this.switched.emit(this.instance.flavor === wanted);
    }
  }

  private _take(event: IEvent): void {
    if (concerns(event, 'instance') && event.resource_id === this.instance?.id) {
      void this.refresh();
    }
  }

  private _wantedFlavor: string | null = null;
  private _refresher = new Refresher(() => this._load());
}
