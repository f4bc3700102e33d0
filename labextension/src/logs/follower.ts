import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import type { EventStream } from '../api/events';
import { LogBuffer } from './buffer';

const WAIT_MS = 3000;
const SHOW_EVERY_MS = 100;

/** Where a log comes from: `follow` streams it from a byte offset on until what writes it has ended. */
export interface ILogSource {
  follow: (offset: number, abort: AbortSignal) => Promise<Response>;
  isOver: () => boolean;
}

/** Reads a log until what writes it has ended; a stream that breaks goes on where it was. */
export class LogFollower implements IDisposable {
  constructor(
    events: EventStream,
    private readonly source: ILogSource
  ) {
    events.connected.connect(this._onConnected, this);
  }

  /** Emitted at most ten times a second. */
  readonly changed = new Signal<this, void>(this);
  readonly buffer = new LogBuffer();
  state: 'connecting' | 'following' | 'waiting' | 'ended' = 'connecting';
  error: unknown = null;

  get isDisposed(): boolean {
    return this._abort.signal.aborted;
  }

  /** Follow the log, from where it was left. */
  start(): void {
    if (this.state !== 'ended') {
      void this._run(++this._turn);
    }
  }

  /** Let the connection go. */
  pause(): void {
    this._turn += 1;
    this._stream.abort();
  }

  dispose(): void {
    this._abort.abort();
    this._stream.abort();
    clearTimeout(this._timer);
    Signal.clearData(this);
  }

  private async _run(turn: number): Promise<void> {
    while (!this.isDisposed && turn === this._turn) {
      const over = this.source.isOver();
      if ((await this._follow()) && over && turn === this._turn) {
        this._become('ended');
        return;
      }
      await new Promise(resolve => setTimeout(resolve, WAIT_MS));
    }
  }

  /** Whether the stream came to its end. */
  private async _follow(): Promise<boolean> {
    this._stream = new AbortController();
    try {
      const response = await this.source.follow(this._offset, this._stream.signal);
      this.error = null;
      this._become('following');
      await this._read(response.body!.getReader());
      return true;
    } catch (error) {
      const isOurs = error instanceof DOMException && error.name === 'AbortError';
      this.error = isOurs ? null : error;
      this._become(isOurs ? 'connecting' : 'waiting');
      return false;
    }
  }

  private async _read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      this._offset += value.length;
      this.buffer.append(this._decoder.decode(value, { stream: true }));
      this._show();
    }
  }

  /** The platform was away: what it was sending has ended, though a proxy may not say so. */
  private _onConnected(_: EventStream, connected: boolean): void {
    if (connected && this._wasAway) {
      this._stream.abort();
    }
    this._wasAway = !connected;
  }

  private _become(state: LogFollower['state']): void {
    this.state = state;
    this._show();
  }

  private _show(): void {
    this._timer ||= window.setTimeout(() => {
      this._timer = 0;
      this.changed.emit();
    }, SHOW_EVERY_MS);
  }

  private _abort = new AbortController();
  private _stream = new AbortController();
  private _decoder = new TextDecoder();
  private _wasAway = false;
  private _turn = 0;
  private _offset = 0;
  private _timer = 0;
}
