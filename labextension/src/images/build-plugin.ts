import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, Notification, WidgetTracker } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { saveDocument } from '../instances/documents';
import { CommandIDs, IImagesModel, IPlatform } from '../tokens';
import { buildImageIcon } from '../ui/icons';
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
    const pathFor = (args: ReadonlyPartialJSONObject): string | null => {
      if (typeof args.path === 'string') {
        return args.path;
      }
      if (args.selected) {
        const items = [...(browser?.tracker.currentWidget?.selectedItems() ?? [])];
        return items.find(item => isContainerfile(item.path))?.path ?? null;
      }
      // whatever it is called: the form says what is wrong with it
      const widget = app.shell.currentWidget;
      return (widget && documents.contextForWidget(widget)?.path) ?? null;
    };
    app.commands.addCommand(CommandIDs.buildImage, {
      label: trans.__('Build an Image…'),
      caption: trans.__('Build an image from this Containerfile, with the files beside it'),
      icon: args => (args.palette ? undefined : buildImageIcon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            path: { type: 'string', description: 'A Containerfile in the work folder; else the one in front' },
            selected: { type: 'boolean', description: 'Take what is selected in the file browser' }
          }
        }
      },
      isVisible: args => !args.selected || pathFor(args) !== null,
      execute: async args => {
        const path = pathFor(args);
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
    addPages(app, platform, images, restorer);
    const category = trans.__('ML platform');
    palette?.addItem({ command: CommandIDs.buildImage, category, args: { palette: true } });
  }
};

function addPages(
  app: JupyterFrontEnd,
  platform: IPlatform,
  images: ImagesModel,
  restorer: ILayoutRestorer | null
): void {
  const tracker = new WidgetTracker<MainAreaWidget<BuildPage>>({ namespace: 'mlplat-builds' });
  app.commands.addCommand(CommandIDs.showBuild, {
    label: platform.trans.__('Show the Build of an Image'),
    describedBy: {
      args: {
        type: 'object',
        required: ['id'],
        properties: { id: { type: 'string', description: 'The id of an image' } }
      }
    },
    execute: args => {
      const id = args.id as string;
      const found = tracker.find(widget => widget.content.imageId === id);
      const widget = found ?? newPage(app, platform, images, id);
      if (!found) {
        void tracker.add(widget);
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(widget.id);
      return widget;
    }
  });
  void restorer?.restore(tracker, {
    command: CommandIDs.showBuild,
    args: widget => ({ id: widget.content.imageId }),
    name: widget => widget.content.imageId
  });
}

function newPage(
  app: JupyterFrontEnd,
  platform: IPlatform,
  images: ImagesModel,
  id: string
): MainAreaWidget<BuildPage> {
  const widget = new MainAreaWidget({ content: new BuildPage(platform, id, images, app.commands) });
  const entitle = () => {
    const image = images.byId(id);
    if (image) {
      widget.title.label = `${image.name}:${image.tag}`;
    }
  };
  widget.id = `mlplat-build-${id}`;
  widget.title.icon = buildImageIcon;
  widget.title.label = platform.trans.__('Build');
  widget.title.closable = true;
  widget.toolbar.hide();
  images.changed.connect(entitle);
  widget.disposed.connect(() => images.changed.disconnect(entitle));
  entitle();
  return widget;
}
