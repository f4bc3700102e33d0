import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { LabIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { ISignal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

/** A kind of page of the main area; each of its pages shows one thing that has an id. */
export interface IPageKind {
  /** In the names by which Lab keeps its pages. */
  name: string;
  /** The id of the command that opens one, and its label. */
  command: string;
  label: CommandRegistry.ICommandOptions['label'];
  icon: LabIcon;
  /** The title of a page until it knows a better one. */
  title: string;
  make: (id: string) => IPage;
}

export interface IPage {
  content: Widget;
  changed: ISignal<unknown, void>;
  title: () => string | null;
}

/** Add the command that opens the page of an id, or goes to it; pages that were open come back with Lab. */
export function addPages(app: JupyterFrontEnd, kind: IPageKind, restorer: ILayoutRestorer | null): void {
  const tracker = new WidgetTracker<MainAreaWidget>({ namespace: `mlplat-${kind.name}s` });
  const prefix = `mlplat-${kind.name}-`;
  const idOf = (widget: Widget) => widget.id.slice(prefix.length);
  app.commands.addCommand(kind.command, {
    label: kind.label,
    icon: kind.icon,
    describedBy: {
      args: {
        type: 'object',
        required: ['id'],
        properties: { id: { type: 'string', description: `The id of the ${kind.name}` } }
      }
    },
    execute: args => {
      const id = args.id as string;
      let widget = tracker.find(open => idOf(open) === id);
      if (!widget) {
        widget = newPage(kind, id);
        widget.id = prefix + id;
        void tracker.add(widget);
        app.shell.add(widget, 'main');
      }
      app.shell.activateById(widget.id);
      return widget;
    }
  });
  void restorer?.restore(tracker, { command: kind.command, args: widget => ({ id: idOf(widget) }), name: idOf });
}

function newPage(kind: IPageKind, id: string): MainAreaWidget {
  const { content, changed, title } = kind.make(id);
  const widget = new MainAreaWidget({ content });
  const entitle = () => {
    widget.title.label = title() ?? widget.title.label;
  };
  widget.title.icon = kind.icon;
  widget.title.label = kind.title;
  widget.title.closable = true;
  widget.toolbar.hide();
  changed.connect(entitle);
  widget.disposed.connect(() => changed.disconnect(entitle));
  entitle();
  return widget;
}
