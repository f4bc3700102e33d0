import { Dialog, Notification, ReactWidget } from '@jupyterlab/apputils';
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import * as React from 'react';
import type { IPlatform } from '../tokens';
import { PlatformProvider, useSignal } from './context';
import { ErrorBox, Waiting } from './feedback';

const ACCEPT = '.jp-Dialog-footer button.jp-mod-accept';
const LEAVE = '.jp-Dialog-footer button.jp-mod-reject .jp-Dialog-buttonLabel';

/** What a form dialog shows and does. `accept` runs while the dialog stays open; what it throws is shown in it. */
export interface IForm<T> {
  title: string;
  /** The verb of the primary button. */
  verb: string;
  warn?: boolean;
  body: (dialog: FormDialog<T>) => JSX.Element;
  /** Called with a way to say what is being done. */
  accept: (say: (words: string) => void) => Promise<T>;
  className?: string;
  focus?: string;
}

class FormBody extends ReactWidget {
  constructor(
    private readonly platform: IPlatform,
    private readonly content: () => JSX.Element
  ) {
    super();
    this.addClass('mlp-form');
  }

  protected override render(): JSX.Element {
    return <PlatformProvider platform={this.platform}>{this.content()}</PlatformProvider>;
  }
}

/** A dialog whose primary button starts work that may be refused: it closes when the work is done. */
export class FormDialog<T> extends Dialog<T> {
  constructor(platform: IPlatform, form: IForm<T>) {
    const { trans } = platform;
    const body = new FormBody(platform, () => <Content dialog={this} form={form} />);
    super({
      title: form.title,
      body,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        form.warn ? Dialog.warnButton({ label: form.verb }) : Dialog.okButton({ label: form.verb })
      ],
      defaultButton: 1,
      focusNodeSelector: form.focus
    });
    this._form = form;
    this._trans = trans;
    this.addClass('mlp-dialog');
    if (form.className) {
      this.addClass(form.className);
    }
  }

  /** Bring the focus to the primary button: Enter then does it. */
  focusAccept(): void {
    this.node.querySelector<HTMLButtonElement>(ACCEPT)?.focus();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    // While the form loads nothing in it can be focused, but Escape must work.
    this.node.tabIndex = -1;
    this.node.focus();
  }

  readonly changed = new Signal<this, void>(this);
  words = '';
  error: unknown = null;

  /**
   * The result of the work, or null if the dialog was left before it began.
   *
   * Work that is under way goes on when the dialog is left; if it fails then, a notification says so.
   */
  async ask(): Promise<T | null> {
    await this.launch();
    await this._work;
    return this._result;
  }

  /** Whether the primary button can be pressed: a form says so as it changes. */
  set canAccept(can: boolean) {
    this._isReady = can;
    this._showReady();
  }

  override resolve(index?: number): void {
    if (index === 0) {
      super.resolve(0);
    } else if (this._isReady && !this.words) {
      this._work = this._accept();
    }
  }

  /** Enter on a button or fold of the form works it, where Lab's dialog would do nothing. */
  override handleEvent(event: Event): void {
    const target = event.target as HTMLElement;
    const own = target.matches?.('.mlp-form button, .mlp-form summary, .mlp-form a');
    if (!(event.type === 'keydown' && (event as KeyboardEvent).key === 'Enter' && own)) {
      super.handleEvent(event);
    }
  }

  protected override _evtInput(): void {
    // The form itself says when it is ready.
  }

  private async _accept(): Promise<void> {
    this._say(this._form.verb + '…');
    try {
      this._result = await this._form.accept(words => this._say(words));
      super.resolve(1);
    } catch (error) {
      this.error = error;
      this._say('');
      if (this.isDisposed) {
        Notification.error(error instanceof Error ? error.message : String(error), { autoClose: false });
      }
    }
  }

  private _say(words: string): void {
    this.error = words ? null : this.error;
    this.words = words;
    this._showReady();
    this.changed.emit();
  }

  private _showReady(): void {
    const accept = this.node.querySelector<HTMLButtonElement>(ACCEPT);
    if (accept) {
      accept.disabled = !this._isReady || this.words !== '';
    }
    const leave = this.node.querySelector(LEAVE);
    if (leave) {
      leave.textContent = this.words ? this._trans.__('Close') : this._trans.__('Cancel');
    }
  }

  private _form: IForm<T>;
  private _trans: IPlatform['trans'];
  private _work: Promise<void> | null = null;
  private _isReady = true;
  private _result: T | null = null;
}

function Content<T>(props: { dialog: FormDialog<T>; form: IForm<T> }): JSX.Element {
  const { dialog, form } = props;
  useSignal(dialog.changed);
  return (
    <>
      <fieldset disabled={dialog.words !== ''}>{form.body(dialog)}</fieldset>
      {dialog.words && <Waiting>{dialog.words}</Waiting>}
      {dialog.error !== null && <ErrorBox error={dialog.error} />}
    </>
  );
}

/** Ask with a form; the result of its work, or null if the dialog was left. */
export function ask<T>(platform: IPlatform, form: IForm<T>): Promise<T | null> {
  return new FormDialog(platform, form).ask();
}

/** What a question before a stop or a deletion says, and what is done when it is accepted. */
export interface IQuestion {
  title: string;
  words: string;
  verb: string;
  accept: () => Promise<void>;
}

/** Ask before something stops or is deleted. */
export async function confirm(platform: IPlatform, question: IQuestion): Promise<void> {
  await ask(platform, { ...question, warn: true, body: () => <p>{question.words}</p> });
}
