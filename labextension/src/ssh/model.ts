import { Notification } from '@jupyterlab/apputils';
import { Signal } from '@lumino/signaling';
import type { ISshGateway, ISshHost, ISshSession, ITouch } from '../api/models';
import { concerns } from '../api/nouns';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';

/** How this instance is reached over SSH, and who is on it; read when somebody looks. */
export class SshModel {
  constructor(private readonly platform: IPlatform) {
    platform.events.changed.connect((_, event) => this._mind(event));
    platform.events.touched.connect((_, touch) => this._mind(touch));
  }

  readonly changed = new Signal<this, void>(this);

  /** Null before it was read. */
  gateway: ISshGateway | null = null;
  /** Null where there is no gateway. */
  host: ISshHost | null = null;
  hasKey = false;
  sessions: ISshSession[] = [];
  /** Why it could not be read; null when it could. */
  error: unknown = null;

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  /** End a session, with what runs in it. */
  async cut(session: string): Promise<void> {
    try {
      await this.platform.client.cutSshSession(await this._id(), session);
    } catch (error) {
      Notification.error(error instanceof Error ? error.message : String(error));
    }
    await this.refresh();
  }

  private _mind(change: ITouch): void {
    if (this.gateway !== null && (concerns(change, 'instance') || concerns(change, 'ssh-key'))) {
      void this.refresh();
    }
  }

  private async _load(): Promise<void> {
    try {
      await this._read();
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed.emit();
  }

  private async _read(): Promise<void> {
    const { client } = this.platform;
    const gateway = await client.sshGateway();
    if (!gateway.absent) {
      const id = await this._id();
      const read = Promise.all([client.sshHost(id), client.sshKeys(), client.sshSessions(id)]);
      const [host, keys, sessions] = await read;
      this.host = host;
      this.hasKey = keys.length > 0;
      this.sessions = sessions;
    }
    this.gateway = gateway;
  }

  private async _id(): Promise<string> {
    return (await this.platform.identity).instance_id ?? '';
  }

  private _refresher = new Refresher(() => this._load());
}
