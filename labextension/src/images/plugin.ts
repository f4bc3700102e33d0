import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { NotebookPanel } from '@jupyterlab/notebook';
import { IStatusBar } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IImage } from '../api/models';
import type { InstanceModel } from '../instances/model';
import { CommandIDs, IImagesModel, IInstanceModel, IPlatform } from '../tokens';
import { formatBytes } from '../ui/format';
import { saveImageIcon } from '../ui/icons';
import { ViewWidget } from '../ui/panel';
import { ImagesModel } from './model';
import { ImageStatus } from './progress';
import { saveImage } from './save';
import { usesOf } from './uses';

export const imagesModelPlugin: JupyterFrontEndPlugin<ImagesModel> = {
  id: 'jupyter-mlplat:images-model',
  description: 'Knows the images that the user may use.',
  autoStart: true,
  requires: [IPlatform],
  provides: IImagesModel,
  activate: (_: JupyterFrontEnd, platform: IPlatform) => new ImagesModel(platform)
};

/** A toast when a save or a build has ended, with what can be done next. */
function announceEnds(app: JupyterFrontEnd, platform: IPlatform, images: ImagesModel): void {
  const { trans } = platform;
  const showLog = ({ id }: IImage) => ({
    label: trans.__('Show the log'),
    callback: () => void app.commands.execute(CommandIDs.showBuild, { id })
  });
  images.ended.connect((_, image: IImage) => {
    if (image.status !== 'ACTIVE') {
      Notification.error(failure(image, trans), { autoClose: false, actions: image.built ? [showLog(image)] : [] });
      return;
    }
    Notification.success(success(image, trans), {
      autoClose: false,
      actions: usesOf(image, platform, app.commands)
    });
  });
}

function failure(image: IImage, trans: TranslationBundle): string {
  const name = `${image.name}:${image.tag}`;
  if (image.built) {
    return trans.__('%1 could not be built. %2', name, image.status_message);
  }
  const why = image.status_message || trans.__('The events in the Instance panel say why.');
  return trans.__('%1 could not be saved. %2', name, why);
}

function success(image: IImage, trans: TranslationBundle): string {
  const name = `${image.name}:${image.tag}`;
  if (image.built) {
    return trans.__('%1 is built, %2 of its own.', name, formatBytes(image.added));
  }
  return image.added > 0
    ? trans.__('%1 is saved, %2 larger than what it was made from.', name, formatBytes(image.added))
    : trans.__('%1 is saved. The environment has not changed since its image.', name);
}

export const imagesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:images',
  description: 'Saves the environment of the instance as an image.',
  autoStart: true,
  requires: [IPlatform, IInstanceModel, IImagesModel],
  optional: [IStatusBar, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    instance: InstanceModel,
    images: ImagesModel,
    statusBar: IStatusBar | null,
    palette: ICommandPalette | null
  ) => {
    const { trans } = platform;
    const text = { type: 'string' };
    app.commands.addCommand(CommandIDs.saveImage, {
      label: trans.__('Save the Environment as an Image…'),
      caption: trans.__('Keep the packages of this instance for jobs and other instances'),
      icon: saveImageIcon,
      describedBy: { args: { type: 'object', properties: { name: text, tag: text, description: text } } },
      execute: async args => {
        const document = app.shell.currentWidget;
        const notebook = document instanceof NotebookPanel ? document.context.path : undefined;
        await saveImage(platform, instance, images, { notebook, ...args });
      }
    });
    announceEnds(app, platform, images);
    const open = () => void app.commands.execute(CommandIDs.showInstance);
    statusBar?.registerStatusItem('jupyter-mlplat:save-image', {
      item: new ViewWidget(platform, () => React.createElement(ImageStatus, { images, open })),
      align: 'left',
      rank: 100,
      isActive: () => images.underWay.length > 0,
      activeStateChanged: images.changed
    });
    palette?.addItem({ command: CommandIDs.saveImage, category: trans.__('ML platform') });
  }
};
