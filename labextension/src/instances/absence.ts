import { Signal } from '@lumino/signaling';
import type { IIdentity } from '../api/models';
import { ApiError } from '../api/transport';
import type { IPlatform } from '../tokens';

/** What is known of a server that is away: nothing, or (of the Hub) that it does not run. */
export type Away = 'unknown' | 'down';

/** What comes of asking the server: it is away, does not know this page's login, or says who it is. */
type Answer = Away | 'stranger' | IIdentity;

/** With this the Hub answers for a server that does not run. */
const NOT_RUNNING = 424;
const SHORTEST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;
/** What is done at the two ends of an absence. */
export interface IReturn {
  /** The server has gone. */
  gone: () => void;
  /** The same server answers again. */
  same: () => void;
  /** Another server answers in its place: this page has to begin anew. */
  other: () => Promise<void>;
}

/** The time without a server: watches for it to come back. */
export class Absence {
  constructor(
    private readonly platform: IPlatform,
    private readonly ends: IReturn
  ) {}

  readonly changed = new Signal<this, void>(this);

  away: Away = 'unknown';

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
    if (isAway(answer)) {
      this.ends.gone();
    }
    for (let wait = SHORTEST_WAIT_MS; isAway(answer); wait = Math.min(wait * 1.3, LONGEST_WAIT_MS)) {
      this._set(answer);
      await new Promise(resolve => setTimeout(resolve, wait));
      answer = await this._ask();
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
      if (!(error instanceof ApiError)) {
        return 'unknown';
      }
      const isOurs = error.code.startsWith('MLPLAT');
      return isOurs && error.status === 403 ? 'stranger' : error.status === NOT_RUNNING ? 'down' : 'unknown';
    }
  }

  private _set(away: Away): void {
    if (away !== this.away) {
      this.away = away;
      this.changed.emit();
    }
  }

  private _watching: Promise<void> | null = null;
}

function isAway(answer: Answer): answer is Away {
  return answer === 'unknown' || answer === 'down';
}
