import { URLExt } from '@jupyterlab/coreutils';
import { Signal } from '@lumino/signaling';
import type { IIdentity, Status } from '../api/models';
import { ApiError } from '../api/transport';
import type { IPlatform } from '../tokens';

/** Why there is no server, as far as the console tells. */
export type Why = 'unknown' | 'restarting' | 'stopped' | 'broken' | 'deleted';

/** What the server says when it is asked: nothing, that this page is not logged in, or who it is. */
type Answer = 'none' | 'stranger' | IIdentity;

const SHORTEST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;
const WHY: Partial<Record<Status, Why>> = {
  STOPPING: 'stopped',
  STOPPED: 'stopped',
  FROZEN: 'stopped',
  CREATE_FAILED: 'broken',
  START_FAILED: 'broken',
  ERROR: 'broken',
  DELETING: 'deleted',
  DELETED: 'deleted'
};

/** What is done at the two ends of an absence. */
export interface IReturn {
  /** The server has gone. */
  gone: () => void;
  /** The same server answers again. */
  same: () => void;
  /** Another server answers in its place: this page has to begin anew. */
  other: () => Promise<void>;
}

/** The time without a server: watches for it to come back, and knows meanwhile what the console says of the instance. */
export class Absence {
  constructor(
    private readonly platform: IPlatform,
    private readonly ends: IReturn
  ) {}

  readonly changed = new Signal<this, void>(this);

  why: Why = 'unknown';

  /** See whether the server is there; if not, wait until it is. Rejects where this Lab is on no instance. */
  look(): Promise<void> {
    this._watching ??= this._watch().finally(() => (this._watching = null));
    return this._watching;
  }

  private async _watch(): Promise<void> {
    const before = await this.platform.identity;
    if (!before.instance_id) {
      throw new Error(this.platform.trans.__('This Lab does not run on an instance of the platform.'));
    }
    let answer = await this._ask();
    if (answer === 'none') {
      await this._askConsole(before);
      this.ends.gone();
    }
    for (let wait = SHORTEST_WAIT_MS; answer === 'none'; wait = Math.min(wait * 1.3, LONGEST_WAIT_MS)) {
      await new Promise(resolve => setTimeout(resolve, wait));
      answer = await this._ask();
      if (answer === 'none') {
        await this._askConsole(before);
      }
    }
    if (answer !== 'stranger' && answer.started === before.started) {
      this.ends.same();
    } else {
      await this.ends.other();
    }
  }

  private async _ask(): Promise<Answer> {
    try {
      return await this.platform.client.identity();
    } catch (error) {
      const isKnown = error instanceof ApiError && error.status === 403 && error.code.startsWith('MLPLAT');
      return isKnown ? 'stranger' : 'none';
    }
  }

  /** The console lies at the same address, and this browser has usually been there: its login is good for this. */
  private async _askConsole({ console, instance_id: id }: IIdentity): Promise<void> {
    const why = await statusAt(URLExt.join(console, 'v1/instances', id ?? '')).catch(() => 'unknown' as const);
    if (why !== this.why) {
      this.why = why;
      this.changed.emit();
    }
  }

  private _watching: Promise<void> | null = null;
}

async function statusAt(url: string): Promise<Why> {
  const response = await fetch(url, { headers: { Accept: 'application/json' } });
  if (response.status === 404) {
    return 'deleted';
  }
  if (!response.ok) {
    return 'unknown';
  }
  const { status } = (await response.json()) as { status: Status };
  return WHY[status] ?? 'restarting';
}
