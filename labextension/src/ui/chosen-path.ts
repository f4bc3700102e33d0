import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

/** Where a command finds the file that it is about. */
export interface IPathSources {
  app: JupyterFrontEnd;
  documents: IDocumentManager;
  browser: IFileBrowserFactory | null;
}

/** What a command that is about a file may be given. */
export const PATH_ARGS = {
  path: { type: 'string', description: 'A file in the work folder; else the one in front' },
  selected: { type: 'boolean', description: 'Take what is selected in the file browser' }
};

/** The file that a command is about: the one given, one of the selected that is meant, or the document in front. */
export function chosenPath(
  args: ReadonlyPartialJSONObject,
  { app, documents, browser }: IPathSources,
  isMeant: (path: string) => boolean
): string | null {
  if (typeof args.path === 'string') {
    return args.path;
  }
  if (args.selected) {
    const items = [...(browser?.tracker.currentWidget?.selectedItems() ?? [])];
    return items.find(item => isMeant(item.path))?.path ?? null;
  }
  const widget = app.shell.currentWidget;
  return (widget && documents.contextForWidget(widget)?.path) ?? null;
}
