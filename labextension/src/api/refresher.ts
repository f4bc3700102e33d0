/** Runs `load` when asked: one at a time, at most once per `gap` ms, and once more if asked meanwhile. */
export class Refresher {
  constructor(
    private readonly load: () => Promise<void>,
    public gap = 400
  ) {}

  /** Resolves when a load that began after this call has ended. */
  async request(): Promise<void> {
    if (this._running) {
      this._again ??= this._running.then(() => {
        this._again = null;
        return this._run();
      });
      return this._again;
    }
    return this._run();
  }

  private async _run(): Promise<void> {
    const wait = this._last + this.gap - Date.now();
    this._running = (wait > 0 ? new Promise(resolve => setTimeout(resolve, wait)) : Promise.resolve()).then(() => {
      this._last = Date.now();
      return this.load();
    });
    try {
      await this._running;
    } finally {
      this._running = null;
    }
  }

  private _running: Promise<void> | null = null;
  private _again: Promise<void> | null = null;
  private _last = 0;
}
