import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import type { TranslationBundle } from '@jupyterlab/translation';

/** What went wrong in words for the user; `code` and `requestId` are for whoever helps them. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly requestId: string
  ) {
    super(message);
  }
}

interface IProblem {
  error_code?: string;
  error_msg?: string;
  request_id?: string;
}

/** Sends requests to `mlplat/…` of the user's own Jupyter server and turns every failure into an `ApiError`. */
export class Transport {
  constructor(
    readonly settings: ServerConnection.ISettings,
    private readonly trans: TranslationBundle
  ) {}

  /** Emitted when a request found that the server or the platform does not answer. */
  readonly unreachable = new Signal<this, void>(this);

  /** The address of a path below `mlplat/`, with the query parameters that are not undefined. */
  url(path: string, query: Record<string, string | number | boolean | undefined> = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)])).toString();
    return URLExt.join(this.settings.baseUrl, 'mlplat', path) + (search ? `?${search}` : '');
  }

  /** An address that the browser itself follows, such as a download: it cannot send our headers. */
  link(path: string, query: Record<string, string | number> = {}): string {
    const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1];
    const token = this.settings.token || undefined;
    return this.url(path, { ...query, _xsrf: xsrf, token });
  }

  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    // Any other cache mode but this makes Lab add a nameless query parameter, which the platform refuses.
    const request = { cache: 'no-cache' as const, ...init };
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, request, this.settings);
    } catch {
      // Lab wraps whatever happened, also an abort, into an error of the network.
      throw init.signal?.aborted ? new DOMException('aborted', 'AbortError') : this._noAnswer();
    }
    if (response.status >= 502) {
      this.unreachable.emit();
    }
    if (!response.ok) {
      throw await this._failure(response);
    }
    return response;
  }

  async get<T>(path: string, query: Record<string, string | number | boolean | undefined> = {}): Promise<T> {
    return (await (await this.fetch(this.url(path, query))).json()) as T;
  }

  async send<T>(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    query: Record<string, string | boolean> = {}
  ): Promise<T> {
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { 'Content-Type': 'application/json' };
    }
    const response = await this.fetch(this.url(path, query), init);
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  }

  /** Send a file with progress; `abort` ends it. */
  upload(url: string, file: Blob, progress: (done: number) => void, abort: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('PUT', url);
      this._authorise(request);
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      request.upload.onprogress = event => progress(event.loaded);
      request.onerror = () => reject(this._noAnswer());
      request.onabort = () => reject(new DOMException('aborted', 'AbortError'));
      request.onload = () => {
        const done = request.status >= 200 && request.status < 300;
        return done ? resolve() : reject(this._problem(request.status, request.responseText));
      };
      abort.addEventListener('abort', () => request.abort());
      request.send(file);
    });
  }

  private _authorise(request: XMLHttpRequest): void {
    const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1];
    if (this.settings.token) {
      request.setRequestHeader('Authorization', `token ${this.settings.token}`);
    }
    if (xsrf) {
      request.setRequestHeader('X-XSRFToken', xsrf);
    }
  }

  private _noAnswer(status = 0): ApiError {
    this.unreachable.emit();
    const message = this.trans.__('Your instance does not answer. Check your connection; it may also be restarting.');
    return new ApiError(message, status, 'NETWORK', '');
  }

  private async _failure(response: Response): Promise<ApiError> {
    if (response.redirected && new URL(response.url).pathname.includes('/hub/')) {
      return this._noAnswer(response.status); // The Hub speaks for a server that does not run.
    }
    return this._problem(response.status, await response.text().catch(() => ''));
  }

  private _problem(status: number, text: string): ApiError {
    let problem: IProblem = {};
    try {
      problem = JSON.parse(text) as IProblem;
    } catch {
      // Not from the platform: a proxy's page. The words below do.
    }
    const message = problem.error_msg || this._words(status);
    return new ApiError(message, status, problem.error_code || `HTTP ${status}`, problem.request_id || '');
  }

  private _words(status: number): string {
    if (status === 401 || status === 403) {
      return this.trans.__('Your login has ended. Reload the page to log in again.');
    }
    if (status === 404) {
      return this.trans.__('This is not there. It may have been deleted, or this server is not part of a platform.');
    }
    if (status >= 500) {
      return this.trans.__('The platform cannot be reached just now. It may be restarting; try again in a moment.');
    }
    return this.trans.__('The platform did not accept this. Reload the page and try again.');
  }
}
