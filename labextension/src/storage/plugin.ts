import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import * as React from 'react';
import { CommandIDs, IPlatform } from '../tokens';
import { storageIcon } from '../ui/icons';
import { ViewWidget } from '../ui/panel';
import { StorageActions } from './actions';
import { DRIVE, ObjectsDrive } from './drive';
import { askImport, importOf } from './import-dialog';
import { StorageModel } from './model';
import { StoragePanel } from './panel';
import { nameOf, obsUrl } from './paths';
import { answers, conflictWords } from './transfer-list';
import { TransfersModel } from './transfers';

/** Shows what a copy has changed: in the panel or in the file browser; says so where one failed. */
function followTransfers(
  platform: IPlatform,
  model: StorageModel,
  transfers: TransfersModel,
  browser: IFileBrowserFactory | null
): void {
  const { trans } = platform;
  const questions = new Map<string, string>();
  transfers.changed.connect(() => {
    const asking = new Set(transfers.tasks.filter(({ state }) => state === 'asking').map(({ id }) => id));
    for (const [id, shown] of questions) {
      if (!asking.has(id)) {
        Notification.dismiss(shown);
        questions.delete(id);
      }
    }
  });
  transfers.ended.connect((_, task) => {
    if (task.state === 'failed') {
      Notification.error(trans.__('%1 was not copied. %2', nameOf(task.source), task.message), { autoClose: false });
    } else if (task.state === 'asking') {
      const words = trans.__('%1 waits: %2', nameOf(task.source), conflictWords(trans, task));
      const actions = answers(trans).map(([answer, label]) => ({
        label,
        callback: () => void transfers.resume(task.id, answer)
      }));
      questions.set(task.id, Notification.warning(words, { autoClose: false, actions }));
    } else if (task.target.startsWith('obs://')) {
      void model.refresh();
    } else {
      void browser?.tracker.currentWidget?.model.refresh();
    }
  });
}

export const storagePlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:storage',
  description: 'The side panel of the object storage.',
  autoStart: true,
  requires: [IPlatform],
  optional: [IFileBrowserFactory, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    browser: IFileBrowserFactory | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const { trans } = platform;
    const model = new StorageModel(platform);
    const transfers = new TransfersModel(platform);
    app.serviceManager.contents.addDrive(new ObjectsDrive(platform.client, app.serviceManager.serverSettings));
    const open = (key: string) => void app.commands.execute('docmanager:open', { path: `${DRIVE}:${key}` });
    const mount = (source: string) => void app.commands.execute(CommandIDs.addMount, { source });
    const actions = new StorageActions(platform, model, transfers, browser, open, mount);
    followTransfers(platform, model, transfers, browser);
    const panel = new ViewWidget(platform, widget =>
      React.createElement(StoragePanel, { model, transfers, actions, widget })
    );
    panel.id = 'mlplat-storage';
    panel.title.icon = storageIcon;
    panel.title.caption = trans.__('Storage');
    app.shell.add(panel, 'left', { rank: 602 });
    restorer?.add(panel, panel.id);

    app.commands.addCommand(CommandIDs.showStorage, {
      label: trans.__('Storage'),
      caption: trans.__('Browse buckets and objects'),
      icon: storageIcon,
      describedBy: {
        args: {
          type: 'object',
          properties: { place: { type: 'string', description: 'BUCKET/PREFIX/ to open' } }
        }
      },
      execute: args => {
        app.shell.activateById(panel.id);
        return typeof args.place === 'string' ? model.open(args.place, '') : undefined;
      }
    });
    app.commands.addCommand(CommandIDs.uploadToStorage, {
      label: trans.__('Copy to the Storage'),
      caption: trans.__('Copy what is selected to the place that is open in the Storage panel'),
      icon: storageIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        app.shell.activateById(panel.id);
        if (model.place === '') {
          Notification.info(trans.__('Open the bucket that it is to go to, then copy again.'), { autoClose: 6000 });
          return;
        }
        for (const item of browser?.tracker.currentWidget?.selectedItems() ?? []) {
          const path = app.serviceManager.contents.localPath(item.path);
          await transfers.copy(path, obsUrl(model.place + nameOf(path)));
        }
      }
    });
    app.commands.addCommand(CommandIDs.importFiles, {
      label: trans.__('Import…'),
      caption: trans.__('Bring files of this computer, of the web, of GitHub or of a store into the instance'),
      icon: storageIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => {
        const files = browser?.tracker.currentWidget?.model;
        return askImport(platform, files ? app.serviceManager.contents.localPath(files.path) : '', async wish => {
          for (const file of wish.files) {
            await files?.upload(file, wish.folder);
          }
          if (wish.files.length === 0) {
            const { source, target } = importOf(wish.source, wish.folder);
            await transfers.copy(source, target);
            app.shell.activateById(panel.id);
          }
        });
      }
    });
    app.contextMenu.addItem({ command: CommandIDs.importFiles, selector: '.jp-DirListing-content', rank: 60 });
    palette?.addItem({ command: CommandIDs.importFiles, category: trans.__('ML platform') });
    palette?.addItem({ command: CommandIDs.showStorage, category: trans.__('ML platform') });
  }
};
