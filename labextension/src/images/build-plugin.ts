import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { saveDocument } from '../instances/documents';
import { CommandIDs, IImagesModel, IPlatform } from '../tokens';
import { chosenPath, PATH_ARGS } from '../ui/chosen-path';
import { buildImageIcon } from '../ui/icons';
import { addPages } from '../ui/pages';
import { buildImage, isContainerfile } from './build';
import { BuildPage } from './build-page';
import type { ImagesModel } from './model';

export const imageBuildsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:image-builds',
  description: 'Builds images from Containerfiles, and shows the logs of that.',
  autoStart: true,
  requires: [IPlatform, IImagesModel, IDocumentManager],
  optional: [IFileBrowserFactory, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    images: ImagesModel,
    documents: IDocumentManager,
    browser: IFileBrowserFactory | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const { trans } = platform;
    const sources = { app, documents, browser };
    app.commands.addCommand(CommandIDs.buildImage, {
      label: trans.__('Build an Image…'),
      caption: trans.__('Build an image from this Containerfile, with the files beside it'),
      icon: args => (args.palette ? undefined : buildImageIcon),
      describedBy: { args: { type: 'object', properties: PATH_ARGS } },
      isVisible: args => !args.selected || chosenPath(args, sources, isContainerfile) !== null,
      execute: async args => {
        // the one in front, whatever it is called: the form says what is wrong with it
        const path = chosenPath(args, sources, isContainerfile);
        if (path === null) {
          Notification.info(trans.__('Open the Containerfile that the image is to be built from, then build it.'), {
            autoClose: 6000
          });
          return;
        }
        await saveDocument(documents, path);
        const image = await buildImage(platform, images, app.serviceManager.contents.localPath(path));
        if (image) {
          await app.commands.execute(CommandIDs.showBuild, { id: image.id });
        }
      }
    });
    const nameOf = (id: string) => {
      const image = images.byId(id);
      return image ? `${image.name}:${image.tag}` : null;
    };
    const kind = {
      name: 'build',
      command: CommandIDs.showBuild,
      label: trans.__('Show the Build of an Image'),
      icon: buildImageIcon,
      title: trans.__('Build'),
      make: (id: string) => ({
        content: new BuildPage(platform, id, images, app.commands),
        changed: images.changed,
        title: () => nameOf(id)
      })
    };
    addPages(app, kind, restorer);
    const category = trans.__('ML platform');
    palette?.addItem({ command: CommandIDs.buildImage, category, args: { palette: true } });
  }
};
