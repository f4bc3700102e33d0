import type { ILabShell, LayoutRestorer, ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import type { IWindowResolver } from '@jupyterlab/apputils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { IStateDB } from '@jupyterlab/statedb';

/** What is needed to leave Lab so that it comes back as it was. */
export interface IDesk {
  app: JupyterFrontEnd;
  documents: IDocumentManager;
  shell: ILabShell | null;
  restorer: ILayoutRestorer | null;
  state: IStateDB | null;
  window: IWindowResolver | null;
}

/** Save the document of a path where it is open and has changes. */
export async function saveDocument(documents: IDocumentManager, path: string): Promise<void> {
  const widget = documents.findWidget(path);
  const context = widget && documents.contextForWidget(widget);
  if (context?.model.dirty) {
    await context.save();
  }
}

/** How many open documents have changes that are not saved. */
export function countUnsaved(desk: IDesk): number {
  return unsaved(desk).length;
}

/** Save every open document, then the layout of the workspace at once (Lab itself would wait a little). */
export async function leaveDesk(desk: IDesk): Promise<void> {
  await Promise.all(unsaved(desk).map(context => context.save()));
  const { shell, restorer, state, window: resolver, app } = desk;
  if (shell && restorer && state && resolver) {
    await (restorer as LayoutRestorer).save(shell.saveLayout());
    const data = (await state.toJSON()) as Record<string, never>;
    await app.serviceManager.workspaces.save(resolver.name, { data, metadata: { id: resolver.name } });
  }
}

function unsaved(desk: IDesk) {
  const contexts = new Set(
    Array.from(desk.app.shell.widgets('main'), widget => desk.documents.contextForWidget(widget)).filter(
      context => context !== undefined
    )
  );
  return [...contexts].filter(context => context.model.dirty && !context.model.readOnly);
}
