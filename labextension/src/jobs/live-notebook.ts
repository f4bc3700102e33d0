import type { ICodeCellModel } from '@jupyterlab/cells';
import * as nbformat from '@jupyterlab/nbformat';
import { NotebookModel, StaticNotebook } from '@jupyterlab/notebook';
import type { Message } from '@lumino/messaging';
import { PanelLayout, Widget } from '@lumino/widgets';
import * as React from 'react';
import { Refresher } from '../api/refresher';
import { ApiError } from '../api/transport';
import type { IPlatform } from '../tokens';
import { EmptyState, ErrorBox, Waiting } from '../ui/feedback';
import { ViewWidget } from '../ui/panel';
import { outputChanges, runningCell, sameCells, shorten } from './notebook-changes';
import type { IRendering } from './page';
import type { JobPageModel } from './page-model';
import { isOver } from './words';

const GAP_MS = 1500;

/** The notebook of a job as it fills in: read-only, and changed only where its outputs have. */
export class LiveNotebook extends Widget {
  constructor(
    private readonly platform: IPlatform,
    private readonly page: JobPageModel,
    private readonly rendering: IRendering
  ) {
    super();
    this.addClass('mlp-live-notebook');
    const layout = new PanelLayout();
    this.layout = layout;
    this._words = new ViewWidget(platform, () => this._wordsView());
    layout.addWidget(this._words);
    page.progressed.connect(() => this._wish());
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._wish();
  }

  private _wish(): void {
    if (this.isVisible && !this._isComplete) {
      void this._refresher.request();
    }
  }

  private async _load(): Promise<void> {
    const over = this.page.job ? isOver(this.page.job) : false;
    try {
      const began = Date.now();
      const content = await this.platform.client.jobNotebook(this.page.id);
      if (!this.isDisposed) {
        this._show(shorten(content, this.platform.trans.__('… the rest is in the logs …')));
        if (over && !this._isComplete) {
          this._isComplete = true;
          this._bringErrorIntoSight(content);
        }
      }
      // A large notebook takes long to read and to show: it is read less often.
      this._refresher.gap = Math.max(GAP_MS, 5 * (Date.now() - began));
    } catch (error) {
      this._error = error;
      this._words.update();
    }
  }

  private _show(content: nbformat.INotebookContent): void {
    if (this._shown && sameCells(this._shown, content)) {
      this._patch(this._shown, content);
    } else {
      this._build(content);
    }
    this._shown = content;
    this._markRunning(content);
  }

  private _build(content: nbformat.INotebookContent): void {
    const model = new NotebookModel({ disableDocumentWideUndoRedo: true });
    model.fromJSON(content);
    for (const cell of model.cells) {
      // The user's own job: its outputs may do what they may do in the user's own notebooks.
      cell.trusted = true;
    }
    this._notebook?.dispose();
    this._notebook = this._newNotebook();
    this._notebook.model = model;
    for (const cell of this._notebook.widgets) {
      cell.readOnly = true;
    }
    this._words.hide();
    (this.layout as PanelLayout).addWidget(this._notebook);
  }

  private _newNotebook(): StaticNotebook {
    const { rendermime, contentFactory, mimeTypes } = this.rendering;
    return new StaticNotebook({
      rendermime,
      contentFactory,
      mimeTypeService: mimeTypes,
      notebookConfig: { ...StaticNotebook.defaultNotebookConfig, windowingMode: 'none', scrollPastEnd: false }
    });
  }

  private _patch(old: nbformat.INotebookContent, fresh: nbformat.INotebookContent): void {
    const { model } = this._notebook!;
    for (const change of outputChanges(old, fresh)) {
      const cell = model!.cells.get(change.cell) as ICodeCellModel;
      cell.executionCount = change.executionCount;
      if (change.keep < cell.outputs.length) {
        cell.outputs.fromJSON(change.outputs);
        continue;
      }
      change.outputs.slice(cell.outputs.length).forEach(output => cell.outputs.add(output));
      const last = change.keep - 1;
      if (change.lastGrew && last >= 0) {
        cell.outputs.set(last, change.outputs[last]!);
      }
    }
  }

  private _bringErrorIntoSight(content: nbformat.INotebookContent): void {
    const failed = content.cells.findIndex(
      cell => cell.cell_type === 'code' && (cell as nbformat.ICodeCell).outputs.some(nbformat.isError)
    );
    this._notebook?.widgets[failed]?.node.scrollIntoView({ block: 'center' });
  }

  private _markRunning(content: nbformat.INotebookContent): void {
    const { job } = this.page;
    const running = job?.phase === 'Running' ? runningCell(content, job.progress.done) : -1;
    this._notebook?.widgets.forEach((cell, index) => cell.toggleClass('mlp-mod-running', index === running));
  }

  private _wordsView(): JSX.Element {
    const { trans } = this.platform;
    const notYet = this._error instanceof ApiError && this._error.status === 404;
    if (this._error && !notYet) {
      return React.createElement(ErrorBox, { error: this._error, retry: () => this._wish() });
    }
    if (notYet && this.page.job && isOver(this.page.job)) {
      return React.createElement(EmptyState, null, trans.__('The job ended before its first cell. The logs say why.'));
    }
    return React.createElement(
      Waiting,
      null,
      notYet ? trans.__('The job has not come to its first cell yet…') : trans.__('Reading the notebook…')
    );
  }

  private _words: ViewWidget;
  private _notebook: StaticNotebook | null = null;
  private _shown: nbformat.INotebookContent | null = null;
  private _error: unknown = null;
  private _isComplete = false;
  private _refresher = new Refresher(() => this._load(), GAP_MS);
}
