import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IWindowResolver } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IStateDB } from '@jupyterlab/statedb';
import * as React from 'react';
import { CommandIDs, IImagesModel, IInstanceModel, IPlatform } from '../tokens';
import { ViewWidget } from '../ui/panel';
import { instanceIcon } from '../ui/icons';
import { EnvironmentsModel } from '../environments/model';
import type { ImagesModel } from '../images/model';
import { askMount } from '../mounts/dialog';
import { MountsModel } from '../mounts/model';
import { SshModel } from '../ssh/model';
import { leaveWithInstance } from './away';
import type { IDesk } from './documents';
import { InstanceModel } from './model';
import { InstancePanel } from './panel';
import { stopInstance } from './stop';

export const instanceModelPlugin: JupyterFrontEndPlugin<InstanceModel> = {
  id: 'jupyter-mlplat:instance-model',
  description: 'Knows the instance that this Lab runs on.',
  autoStart: true,
  requires: [IPlatform],
  provides: IInstanceModel,
  activate: (_: JupyterFrontEnd, platform: IPlatform) => new InstanceModel(platform)
};

export const instancesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:instances',
  description: 'The side panel of the instance, and its commands.',
  autoStart: true,
  requires: [IPlatform, IInstanceModel, IImagesModel, IDocumentManager],
  optional: [ILabShell, ILayoutRestorer, IStateDB, IWindowResolver, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    model: InstanceModel,
    images: ImagesModel,
    documents: IDocumentManager,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    state: IStateDB | null,
    window: IWindowResolver | null,
    palette: ICommandPalette | null
  ) => {
    const { trans } = platform;
    const desk: IDesk = { app, documents, shell, restorer, state, window };
    leaveWithInstance(platform, model, desk);
    const environments = new EnvironmentsModel(platform, app.serviceManager.kernelspecs);
    const mounts = new MountsModel(platform);
    const ssh = new SshModel(platform);
    const panel = new ViewWidget(platform, widget =>
      React.createElement(InstancePanel, { model, images, environments, mounts, ssh, commands: app.commands, widget })
    );
    panel.id = 'mlplat-instance';
    panel.title.icon = instanceIcon;
    panel.title.caption = trans.__('Instance');
    app.shell.add(panel, 'left', { rank: 600 });
    restorer?.add(panel, panel.id);

    app.commands.addCommand(CommandIDs.showInstance, {
      label: trans.__('Show the Instance'),
      icon: instanceIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(panel.id)
    });
    app.commands.addCommand(CommandIDs.stopInstance, {
      label: trans.__('Stop the Instance…'),
      caption: trans.__('Save the open documents and stop this instance'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => stopInstance(platform, model, desk)
    });
    app.commands.addCommand(CommandIDs.addMount, {
      label: trans.__('Mount a Folder…'),
      caption: trans.__('Let this instance see a folder of a bucket as files'),
      describedBy: {
        args: {
          type: 'object',
          properties: { source: { type: 'string', description: 'obs://BUCKET/FOLDER/' } }
        }
      },
      execute: async args => {
        app.shell.activateById(panel.id);
        await askMount(platform, mounts, (args.source as string | undefined) ?? '');
      }
    });
    app.commands.addCommand(CommandIDs.openConsole, {
      label: trans.__('Open the Console'),
      describedBy: {
        args: {
          type: 'object',
          properties: { path: { type: 'string', description: 'A page of the console, such as jobs' } }
        }
      },
      execute: args => platform.openConsole((args.path as string | undefined) ?? '')
    });
    app.commands.addCommand(CommandIDs.newInstance, {
      label: trans.__('New instance'),
      caption: trans.__('Create another instance in the console'),
      icon: instanceIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => platform.openConsole('instances/new')
    });
    const category = trans.__('ML platform');
    for (const command of [
      CommandIDs.showInstance,
      CommandIDs.stopInstance,
      CommandIDs.addMount,
      CommandIDs.openConsole,
      CommandIDs.newInstance
    ]) {
      palette?.addItem({ command, category });
    }
  }
};
