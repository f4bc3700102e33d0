import { Notification } from '@jupyterlab/apputils';
import type { KernelSpec } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import type { IEnvironment, IEnvironmentFile, IEnvironmentWork } from '../api/models';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';

const PERIOD_MS = 1000;

export function isUnderWay(work: IEnvironmentWork): boolean {
  return work.state === 'running';
}

/** The environments inside the instance, and those that are being made. */
export class EnvironmentsModel {
  constructor(
    private readonly platform: IPlatform,
    private readonly kernels: Pick<KernelSpec.IManager, 'refreshSpecs'>
  ) {}

  readonly changed = new Signal<this, void>(this);

  /** The instance's own first; null before they were read. */
  environments: IEnvironment[] | null = null;
  /** What is being made from here, and what was and did not succeed, newest first. */
  work: IEnvironmentWork[] = [];
  /** The names that somebody else, such as a terminal, is making or removing. */
  elsewhere: string[] = [];
  /** Why they could not be read; null when they could. */
  error: unknown = null;

  /** Read them, and go on doing so while anything is under way. */
  refresh(): Promise<void> {
    return this._refresher.request();
  }

  files(): Promise<IEnvironmentFile[]> {
    return this.platform.client.environmentFiles();
  }

  async create(name: string, file: string): Promise<void> {
    await this.platform.client.makeEnvironment({ name, file });
    await this.refresh();
  }

  async clone(name: string, original: string): Promise<void> {
    await this.platform.client.makeEnvironment({ name, clone_of: original });
    await this.refresh();
  }

  async remove(name: string): Promise<void> {
    await this.platform.client.removeEnvironment(name);
    await Promise.all([this.refresh(), this.kernels.refreshSpecs()]);
  }

  /** Cancel what is under way, or take what is over off the list. */
  async end(work: IEnvironmentWork): Promise<void> {
    try {
      await this.platform.client.endEnvironmentWork(work.id);
    } catch (error) {
      Notification.error(error instanceof Error ? error.message : String(error));
    }
    await this.refresh();
  }

  private async _load(): Promise<void> {
    clearTimeout(this._timer);
    try {
      await this._read();
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    if (this._busy.size > 0) {
      this._timer = window.setTimeout(() => void this.refresh(), PERIOD_MS);
    }
    this.changed.emit();
  }

  private async _read(): Promise<void> {
    const found = await this.platform.client.environments();
    const running = found.work.filter(isUnderWay).map(({ name }) => name);
    const busy = new Set([...running, ...found.half_made]);
    const over = [...this._busy].filter(name => !busy.has(name));
    this.environments = found.environments;
    this.work = found.work.filter(({ state }) => state !== 'completed');
    this.elsewhere = found.half_made.filter(name => !running.includes(name));
    this._busy = busy;
    if (over.length > 0) {
      await this.kernels.refreshSpecs();
      over.forEach(name => this._tell(name));
    }
  }

  private _tell(name: string): void {
    const made = this.environments?.find(environment => environment.name === name);
    if (made?.kernel) {
      Notification.success(this.platform.trans.__('%1 is ready: choose it as the kernel of a notebook.', name), {
        autoClose: 5000
      });
    }
  }

  private _busy: ReadonlySet<string> = new Set();
  private _timer = 0;
  private _refresher = new Refresher(() => this._load());
}
