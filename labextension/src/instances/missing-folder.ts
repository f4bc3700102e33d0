import { Dialog } from '@jupyterlab/apputils';
import type { ITranslator } from '@jupyterlab/translation';

/** Keeps back what Lab's file list says when its server goes away under it: that its folder is not found. */
export class MissingFolder {
  constructor(translator: ITranslator) {
    this._title = translator.load('jupyterlab').gettext('Directory not found');
  }

  keepBack(): void {
    Dialog.tracker.forEach(dialog => this._close(dialog));
    Dialog.tracker.widgetAdded.connect(this._onAdded, this);
  }

  letThrough(): void {
    Dialog.tracker.widgetAdded.disconnect(this._onAdded, this);
  }

  /** It is launched right after it was made, and cannot be closed before. */
  private _onAdded(_: unknown, dialog: Dialog<unknown>): void {
    queueMicrotask(() => this._close(dialog));
  }

  /** By its label, which it has before it is shown. */
  private _close(dialog: Dialog<unknown>): void {
    if (dialog.node.ariaLabel?.startsWith(`${this._title} `)) {
      dialog.reject();
    }
  }

  private readonly _title: string;
}
