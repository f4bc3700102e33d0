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

  instance: IInstance | null = null;
  /** Its newest events, newest first; null before they were asked for. */
  events: IEvent[] | null = null;
  /** Where it may switch to; null before that was asked for. */
  choices: IFlavorChoice[] | null = null;
  /** Why it could not be read; null when it could. */
  error: unknown = null;

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
    this._set(await this.platform.client.switchFlavor(await this.id(), flavor, restart));
  }

  async stop(): Promise<void> {
    this._set(await this.platform.client.stopInstance(await this.id()));
  }

  private _set(instance: IInstance): void {
    this.instance = instance;
    this.changed.emit();
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
  }

  private _take(event: IEvent): void {
    if (concerns(event, 'instance') && event.resource_id === this.instance?.id) {
      void this.refresh();
    }
  }

  private _refresher = new Refresher(() => this._load());
}
