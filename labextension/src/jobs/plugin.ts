import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { CommandToolbarButton, ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { IEditorServices } from '@jupyterlab/codeeditor';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import * as React from 'react';
import type { ImagesModel } from '../images/model';
import type { InstanceModel } from '../instances/model';
import { CommandIDs, IImagesModel, IInstanceModel, IJobsModel, IPlatform } from '../tokens';
import { jobsIcon } from '../ui/icons';
import { addPages } from '../ui/pages';
import { ViewWidget } from '../ui/panel';
import { addJobCommands, addSubmitCommand } from './commands';
import { JobsModel } from './model';
import { JobPage, type IRendering } from './page';
import { JobsPanel } from './panel';
import { JobSubmitter } from './submit';
import { jobTitle } from './words';

export const jobsModelPlugin: JupyterFrontEndPlugin<JobsModel> = {
  id: 'jupyter-mlplat:jobs-model',
  description: "Knows the user's jobs.",
  autoStart: true,
  requires: [IPlatform],
  provides: IJobsModel,
  activate: (_: JupyterFrontEnd, platform: IPlatform) => new JobsModel(platform)
};

export const jobsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:jobs',
  description: 'The side panel of the jobs, and their commands.',
  autoStart: true,
  requires: [IPlatform, IJobsModel, IInstanceModel, IImagesModel, IDocumentManager],
  optional: [INotebookTracker, IFileBrowserFactory, IToolbarWidgetRegistry, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    model: JobsModel,
    instance: InstanceModel,
    images: ImagesModel,
    documents: IDocumentManager,
    notebooks: INotebookTracker | null,
    browser: IFileBrowserFactory | null,
    toolbars: IToolbarWidgetRegistry | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const { trans } = platform;
    const { commands } = app;
    const panel = new ViewWidget(platform, () => React.createElement(JobsPanel, { model, commands }));
    panel.id = 'mlplat-jobs';
    panel.title.icon = jobsIcon;
    panel.title.caption = trans.__('Jobs');
    app.shell.add(panel, 'left', { rank: 601 });
    restorer?.add(panel, panel.id);

    const submitter = new JobSubmitter(platform, instance, images, documents, commands);
    addSubmitCommand(platform, submitter, { app, documents, browser }, notebooks);
    const label = trans.__('Submit as job');
    const button = () => new CommandToolbarButton({ commands, id: CommandIDs.submitJob, label });
    toolbars?.addFactory('Notebook', 'mlplat-submit', button);
    addJobCommands(commands, platform, model);
    commands.addCommand(CommandIDs.showJobs, {
      label: trans.__('Jobs'),
      caption: trans.__('What runs by itself, and what has run'),
      icon: jobsIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(panel.id)
    });
    const category = trans.__('ML platform');
    palette?.addItem({ command: CommandIDs.submitJob, category, args: { palette: true } });
    palette?.addItem({ command: CommandIDs.showJobs, category });
  }
};

export const jobPagePlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:job-page',
  description: 'The page of one job, in the main area.',
  autoStart: true,
  requires: [IPlatform, IJobsModel, IRenderMimeRegistry, NotebookPanel.IContentFactory, IEditorServices],
  optional: [ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    jobs: JobsModel,
    rendermime: IRenderMimeRegistry,
    contentFactory: NotebookPanel.IContentFactory,
    editors: IEditorServices,
    restorer: ILayoutRestorer | null
  ) => {
    const { trans } = platform;
    const rendering: IRendering = { rendermime, contentFactory, mimeTypes: editors.mimeTypeService };
    const make = (id: string) => {
      const page = new JobPage(platform, id, rendering, app.commands);
      return { content: page, changed: page.model.changed, title: () => page.model.job && jobTitle(page.model.job) };
    };
    const label = (args: ReadonlyPartialJSONObject) => {
      const job = jobs.jobs?.find(({ id }) => id === args.id);
      return job ? jobTitle(job) : trans.__('Open a Job');
    };
    const title = trans.__('Job');
    addPages(app, { name: 'job', command: CommandIDs.openJob, label, icon: jobsIcon, title, make }, restorer);
  }
};
