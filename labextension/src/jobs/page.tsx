import { BoxLayout, StackedPanel, Widget } from '@lumino/widgets';
import type { CommandRegistry } from '@lumino/commands';
import type { IEditorMimeTypeService } from '@jupyterlab/codeeditor';
import type { StaticNotebook } from '@jupyterlab/notebook';
import type { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import * as React from 'react';
import type { IPlatform } from '../tokens';
import { Signal } from '@lumino/signaling';
import { ViewWidget } from '../ui/panel';
import { DetailsTab } from './details-tab';
import { FilesTab } from './files-tab';
import { JobHeader } from './header';
import { LogsTab } from './logs-tab';
import { MetricsTab } from './metrics-tab';
import { LiveNotebook } from './live-notebook';
import { JobPageModel } from './page-model';

/** What renders notebooks in this Lab. */
export interface IRendering {
  rendermime: IRenderMimeRegistry;
  contentFactory: StaticNotebook.IContentFactory;
  mimeTypes: IEditorMimeTypeService;
}

export interface ITab {
  id: string;
  label: string;
}

/** The page of one job: a header with its state, and tabs with what it does and left. */
export class JobPage extends Widget {
  constructor(
    private readonly platform: IPlatform,
    readonly jobId: string,
    private readonly rendering: IRendering,
    private readonly commands: CommandRegistry
  ) {
    super();
    this.addClass('mlp-job-page');
    this.model = new JobPageModel(platform, jobId);
    const layout = new BoxLayout({ direction: 'top-to-bottom', spacing: 0 });
    this.layout = layout;
    this._header = new ViewWidget(platform, () =>
      React.createElement(JobHeader, { page: this, commands: this.commands })
    );
    this._header.addClass('mlp-job-header-host');
    layout.addWidget(this._header);
    layout.addWidget(this._stack);
    BoxLayout.setStretch(this._stack, 1);
    BoxLayout.setSizeBasis(this._header, 112);
    this._addTabs();
    this.model.changed.connect(this._onChanged, this);
  }

  readonly model: JobPageModel;
  readonly tabChanged = new Signal<this, string>(this);

  get tabs(): ITab[] {
    const { trans } = this.platform;
    const isNotebook = this.model.job?.kind === 'notebook';
    return [
      ...(isNotebook ? [{ id: 'notebook', label: trans.__('Notebook') }] : []),
      { id: 'logs', label: trans.__('Logs') },
      { id: 'metrics', label: trans.__('Metrics') },
      { id: 'files', label: trans.__('Files') },
      { id: 'details', label: trans.__('Details') }
    ];
  }

  get tab(): string {
    return this._tab;
  }

  showTab(id: string): void {
    this._tab = id;
    for (const [name, widget] of this._tabs) {
      widget.setHidden(name !== id);
    }
    this.tabChanged.emit(id);
  }

  override dispose(): void {
    this.model.dispose();
    super.dispose();
  }

  private _addTabs(): void {
    const { platform, model } = this;
    const view = (name: string, content: (widget: ViewWidget) => JSX.Element) => {
      const widget = new ViewWidget(platform, content);
      this._tabs.set(name, widget);
    };
    this._tabs.set('notebook', new LiveNotebook(platform, model, this.rendering));
    view('logs', widget => React.createElement(LogsTab, { model, widget }));
    view('metrics', widget => React.createElement(MetricsTab, { model, widget }));
    view('files', widget => React.createElement(FilesTab, { model, widget }));
    view('details', widget => React.createElement(DetailsTab, { model, widget }));
    for (const [name, widget] of this._tabs) {
      widget.id = `${this.jobId}-${name}`;
      widget.node.setAttribute('role', 'tabpanel');
      widget.hide();
      this._stack.addWidget(widget);
    }
  }

  private _onChanged(): void {
    const { job } = this.model;
    this._stack.setHidden(this.model.isDeleted);
    if (job && this._tab === '') {
      this.showTab(job.kind === 'notebook' ? 'notebook' : 'logs');
    }
  }

  private _header: ViewWidget;
  private _stack = new StackedPanel();
  private _tabs = new Map<string, Widget>();
  private _tab = '';
}
