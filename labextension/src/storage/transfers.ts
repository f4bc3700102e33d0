import { Notification } from '@jupyterlab/apputils';
import { Signal } from '@lumino/signaling';
import type { ITransfer, OnConflict } from '../api/models';
import type { IPlatform } from '../tokens';
import type { ILocalFile } from './local-files';
import { nameOf } from './paths';

const PERIOD_MS = 5000;
const UPLOADS_AT_ONCE = 3;

/** One copy as the panel shows it: an upload from this browser, or a copy that the server does. */
export interface ITask extends ITransfer {
  cancel: () => void;
  /** Stop it for now. */
  pause?: () => void;
  /** Go on with it, or try again; with the answer where it asks. */
  resume?: (onConflict?: OnConflict) => void;
}

export function isActive(task: ITransfer): boolean {
  return task.state === 'queued' || task.state === 'running';
}

/** Whether it waits for its user. */
export function isStopped(task: ITransfer): boolean {
  return task.state === 'paused' || task.state === 'asking';
}

/** Seconds until it is done at the present speed; null where nobody can tell. */
export function secondsLeft(task: ITransfer): number | null {
  const isKnown = task.state === 'running' && task.speed > 0 && task.total > task.done;
  return isKnown ? (task.total - task.done) / task.speed : null;
}

/** All copies: uploads of this page and the transfers of the server. `ended` tells of each that is over. */
export class TransfersModel {
  constructor(private readonly platform: IPlatform) {}

  readonly changed = new Signal<this, void>(this);
  readonly ended = new Signal<this, ITransfer>(this);

  /** Why the server's list could not be read. */
  error: unknown = null;

  get tasks(): ITask[] {
    return [...[...this._uploads].reverse(), ...this._copies.map(copy => this._task(copy))];
  }

  /** Bytes of all that is under way; a total of 0 where nothing is, or one of them does not know its own yet. */
  get progress(): { done: number; total: number } {
    const active = this.tasks.filter(isActive);
    const sum = (of: (task: ITransfer) => number) => active.reduce((total, task) => total + of(task), 0);
    const isKnown = active.every(({ done, total }) => done <= total);
    return { done: sum(task => task.done), total: isKnown ? sum(task => task.total) : 0 };
  }

  /** Send files from the user's own machine to `place`. */
  upload(files: Iterable<ILocalFile>, place: string): void {
    for (const { file, path } of files) {
      this._uploads.push(this._newUpload(file, place + path));
    }
    this.changed.emit();
    this._startUploads();
  }

  /** Let the server copy between the work folder and `obs://…`. */
  async copy(source: string, target: string): Promise<void> {
    await this.platform.client.startTransfer(source, target);
    await this.refresh();
  }

  /** Read the server's list, and go on doing so while anything in it is under way. */
  async refresh(): Promise<void> {
    clearTimeout(this._timer);
    try {
      const copies = await this.platform.client.transfers();
      const wereActive = new Set(this._copies.filter(isActive).map(({ id }) => id));
      this._copies = copies;
      this.error = null;
      copies.filter(copy => wereActive.has(copy.id) && !isActive(copy)).forEach(copy => this.ended.emit(copy));
    } catch (error) {
      this.error = error;
    }
    if (this._copies.some(isActive)) {
      this._timer = window.setTimeout(() => void this.refresh(), PERIOD_MS);
    }
    this.changed.emit();
  }

  /** Take what is over off the list. */
  async clear(): Promise<void> {
    this._uploads = this._uploads.filter(isActive);
    this.changed.emit();
    const over = this._copies.filter(copy => !isActive(copy) && !isStopped(copy));
    await Promise.allSettled(over.map(({ id }) => this.platform.client.cancelTransfer(id)));
    await this.refresh();
  }

  /** Go on with a copy that asks. */
  resume(id: string, onConflict: OnConflict): Promise<void> {
    return this._change(this.platform.client.resumeTransfer(id, onConflict));
  }

  private _task(copy: ITransfer): ITask {
    const { client } = this.platform;
    const canGoOn = isStopped(copy) || copy.state === 'failed';
    return {
      ...copy,
      cancel: () => void this._change(client.cancelTransfer(copy.id)),
      pause: isActive(copy) ? () => void this._change(client.pauseTransfer(copy.id)) : undefined,
      resume: canGoOn ? answer => void this._change(client.resumeTransfer(copy.id, answer ?? null)) : undefined
    };
  }

  /** Something was asked of the server: its list says what has come of it. */
  private async _change(asked: Promise<unknown>): Promise<void> {
    await asked.catch((error: Error) => Notification.error(error.message, { autoClose: false }));
    await this.refresh();
  }

  private _newUpload(file: File, key: string): ITask & { start: () => Promise<void> } {
    const abort = new AbortController();
    const task: ITask & { start: () => Promise<void> } = {
      id: `upload-${++this._count}`,
      source: nameOf(file.name),
      target: `obs://${key}`,
      state: 'queued',
      done: 0,
      total: file.size,
      files: 0,
      files_total: 1,
      speed: 0,
      conflicts: 0,
      message: '',
      problems: [],
      cancel: () => {
        task.state = isActive(task) ? 'cancelled' : task.state;
        abort.abort();
        this.changed.emit();
      },
      start: async () => {
        task.state = 'running';
        await this._send(task, file, key, abort.signal);
      }
    };
    return task;
  }

  private async _send(task: ITask, file: File, key: string, abort: AbortSignal): Promise<void> {
    const progress = (done: number) => {
      task.done = done;
      this.changed.emit();
    };
    try {
      await this.platform.client.uploadObject(key, file, progress, abort);
      task.state = 'completed';
      task.done = task.total;
    } catch (error) {
      task.state = abort.aborted ? 'cancelled' : 'failed';
      if (abort.aborted) {
        await this.platform.client.giveUpUpload(key).catch(() => undefined); // it is swept later
      }
      task.message = abort.aborted ? '' : (error as Error).message;
    }
    this.ended.emit(task);
    this.changed.emit();
    this._startUploads();
  }

  private _startUploads(): void {
    const running = this._uploads.filter(({ state }) => state === 'running').length;
    const queued = this._uploads.filter(({ state }) => state === 'queued');
    queued.slice(0, Math.max(0, UPLOADS_AT_ONCE - running)).forEach(task => void task.start());
  }

  private _uploads: (ITask & { start: () => Promise<void> })[] = [];
  private _copies: ITransfer[] = [];
  private _count = 0;
  private _timer = 0;
}
