import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry, IWindowResolver, Notification } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IStateDB } from '@jupyterlab/statedb';
import * as React from 'react';
import type { IDesk } from '../instances/documents';
import type { InstanceModel } from '../instances/model';
import { CommandIDs, IInstanceModel, IPlatform } from '../tokens';
import { flavorLabel } from '../ui/format';
import { ViewWidget } from '../ui/panel';
import { openPopover } from '../ui/popover';
import { FlavorIndicator } from './indicator';
import { FlavorMenu } from './popover';
import { switchFlavor } from './switch';

/** Opens the menu of flavors below the indicator, or closes it if it is open. */
class FlavorChooser {
  constructor(
    private readonly platform: IPlatform,
    private readonly model: InstanceModel,
    private readonly desk: IDesk
  ) {}

  readonly indicator = () => {
    const widget = new ViewWidget(this.platform, () =>
      React.createElement(FlavorIndicator, { model: this.model, onOpen: anchor => this.toggle(anchor) })
    );
    widget.addClass('mlp-indicator-host');
    return widget;
  };

  toggle(anchor: HTMLElement): void {
    if (this._close) {
      this._close();
      return;
    }
    const close = openPopover(
      this.platform,
      anchor,
      () =>
        React.createElement(FlavorMenu, {
          model: this.model,
          choose: choice => {
            if (choice.effect === 'restart') {
              close();
            }
            return switchFlavor(this.platform, this.model, this.desk, choice);
          }
        }),
      () => (this._close = null)
    );
    this._close = close;
  }

  private _close: (() => void) | null = null;
}

/** Says so when a switch has ended. */
function announceSwitches(platform: IPlatform, model: InstanceModel): void {
  const { trans } = platform;
  model.switched.connect((_, succeeded) => {
    if (!succeeded) {
      const why = model.instance?.status_message || trans.__('The events in the Instance panel say why.');
      Notification.error(trans.__('The flavor was not changed. %1', why), { autoClose: false });
      return;
    }
    void platform.flavors().then(offers => {
      const flavor = offers.find(({ id }) => id === model.instance?.flavor);
      const label = flavor ? flavorLabel(flavor) : (model.instance?.flavor ?? '');
      Notification.success(trans.__('This instance now has %1.', label), { autoClose: 5000 });
    });
  });
}

export const flavorsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:flavors',
  description: 'Shows the flavor of the instance in the top bar, and changes it.',
  autoStart: true,
  requires: [IPlatform, IInstanceModel, IDocumentManager, IToolbarWidgetRegistry],
  optional: [ILabShell, ILayoutRestorer, IStateDB, IWindowResolver, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    model: InstanceModel,
    documents: IDocumentManager,
    toolbars: IToolbarWidgetRegistry,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    state: IStateDB | null,
    window: IWindowResolver | null,
    palette: ICommandPalette | null
  ) => {
    const { trans } = platform;
    const desk: IDesk = { app, documents, shell, restorer, state, window };
    const chooser = new FlavorChooser(platform, model, desk);
    toolbars.addFactory('TopBar', 'mlplat-flavor', chooser.indicator);
    announceSwitches(platform, model);

    app.commands.addCommand(CommandIDs.chooseFlavor, {
      label: trans.__('Change the Flavor…'),
      caption: trans.__('Choose what this instance computes with'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => {
        const anchor = document.querySelector<HTMLElement>('.mlp-indicator');
        if (anchor) {
          chooser.toggle(anchor);
        }
      }
    });
    app.commands.addCommand(CommandIDs.switchFlavor, {
      label: trans.__('Switch the Flavor'),
      describedBy: {
        args: {
          type: 'object',
          required: ['flavor'],
          properties: { flavor: { type: 'string', description: 'The id of a flavor, such as cpu.2c.8g' } }
        }
      },
      execute: async args => {
        await model.loadChoices();
        const choice = model.choices?.find(({ flavor }) => flavor.id === args.flavor);
        if (!choice) {
          throw new Error(trans.__('There is no flavor %1.', args.flavor));
        }
        await switchFlavor(platform, model, desk, choice);
      }
    });
    palette?.addItem({ command: CommandIDs.chooseFlavor, category: trans.__('ML platform') });
  }
};
