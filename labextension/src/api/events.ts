import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import type { IEvent, ITouch } from './models';
import { EventParser, type IServerSentEvent } from './sse';
import type { Transport } from './transport';

const SHORTEST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
/** The platform sends a comment every 15 s; a stream that is silent for longer is dead, whatever the proxy between says. */
const SILENCE_MS = 20_000;
/** A page out of sight gives up its connection after this: browsers allow only a few to one address. */
const OUT_OF_SIGHT_MS = 60_000;

/**
 * The one event stream of this page. It reconnects by itself and asks for what it missed.
 *
 * `changed` tells of an event, `touched` of progress, `connected` of the stream coming (true) and going (false). Touches
 * that fall in a gap are lost, so whoever shows progress reads again when `connected` says true.
 */
export class EventStream implements IDisposable {
  constructor(private readonly transport: Transport) {
    // Where a request finds nobody, the stream has ended too: a proxy may keep it open for long.
    transport.unreachable.connect(() => this._watchdog?.stop());
  }

  readonly changed = new Signal<this, IEvent>(this);
  readonly touched = new Signal<this, ITouch>(this);
  readonly connected = new Signal<this, boolean>(this);

  get isConnected(): boolean {
    return this._isConnected;
  }

  /** Whether the platform does not answer; not while nobody looks at this page. */
  get isAway(): boolean {
    return this._isAway;
  }

  get isDisposed(): boolean {
    return this._abort.signal.aborted;
  }

  dispose(): void {
    this._abort.abort();
    Signal.clearData(this);
  }

  /** Connect, and stay connected until disposed. */
  async run(): Promise<void> {
    let wait = SHORTEST_WAIT_MS;
    document.addEventListener('visibilitychange', () => this._mindSight(), { signal: this._abort.signal });
    while (!this.isDisposed) {
      await inSight();
      try {
        await this._connectOnce(() => (wait = SHORTEST_WAIT_MS));
      } catch {
        // Whatever broke the stream, the answer is to connect again.
      }
      this._setConnected(false);
      await new Promise(resolve => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  private _mindSight(): void {
    clearTimeout(this._sightTimer);
    if (document.visibilityState === 'hidden') {
      this._sightTimer = window.setTimeout(() => this._watchdog?.stop(), OUT_OF_SIGHT_MS);
    }
  }

  private async _connectOnce(onOpen: () => void): Promise<void> {
    const watchdog = (this._watchdog = new Watchdog(this._abort.signal));
    const headers: Record<string, string> = this._lastId ? { 'Last-Event-ID': this._lastId } : {};
    try {
      const init = { headers, signal: watchdog.signal };
      const response = await this.transport.fetch(this.transport.url('v1/events'), init);
      onOpen();
      this._setConnected(true);
      await this._read(response, watchdog);
    } finally {
      watchdog.stop();
      this._watchdog = null;
    }
  }

  private async _read(response: Response, watchdog: Watchdog): Promise<void> {
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      watchdog.feed();
      parser.push(value).forEach(event => this._take(event));
    }
  }

  private _take(event: IServerSentEvent): void {
    if (event.id !== null) {
      this._lastId = event.id;
    }
    if (event.event === 'changed') {
      this.changed.emit(JSON.parse(event.data) as IEvent);
    } else if (event.event === 'touched') {
      this.touched.emit(JSON.parse(event.data) as ITouch);
    }
  }

  private _setConnected(connected: boolean): void {
    const isAway = !connected && document.visibilityState !== 'hidden';
    if (this._isConnected !== connected || this._isAway !== isAway) {
      this._isConnected = connected;
      this._isAway = isAway;
      this.connected.emit(connected);
    }
  }

  private _abort = new AbortController();
  private _watchdog: Watchdog | null = null;
  private _sightTimer = 0;
  private _lastId: string | null = null;
  private _isConnected = false;
  private _isAway = false;
}

/** Resolves when this page is in sight. */
function inSight(): Promise<void> {
  return new Promise(resolve => {
    const look = () => {
      if (document.visibilityState !== 'hidden') {
        document.removeEventListener('visibilitychange', look);
        resolve();
      }
    };
    document.addEventListener('visibilitychange', look);
    look();
  });
}

/** Aborts when it has not been fed for a while, or when its parent does. */
class Watchdog {
  constructor(parent: AbortSignal) {
    parent.addEventListener('abort', () => this._abort.abort(), { signal: this._abort.signal });
    this.feed();
  }

  get signal(): AbortSignal {
    return this._abort.signal;
  }

  feed(): void {
    clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this._abort.abort(), SILENCE_MS);
  }

  stop(): void {
    clearTimeout(this._timer);
    this._abort.abort();
  }

  private _abort = new AbortController();
  private _timer = 0;
}
