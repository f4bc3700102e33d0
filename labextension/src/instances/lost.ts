import {
  ConnectionLost,
  IConnectionLost,
  JupyterLab,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Dialog, showDialog } from '@jupyterlab/apputils';
import { IInstanceModel, IPlatform } from '../tokens';
import type { InstanceModel } from './model';

/** Whether the user wants to see how the instance is, instead of staying in a Lab without a server. */
async function wantsToLeave({ trans }: IPlatform): Promise<boolean> {
  const { button } = await showDialog({
    title: trans.__('This instance does not answer'),
    body: trans.__(
      'It is restarting, has been stopped, or the connection is broken. Your files are kept. ' +
        '“Open again” shows how it is, and brings Lab back with the same documents.'
    ),
    buttons: [Dialog.cancelButton({ label: trans.__('Stay here') }), Dialog.okButton({ label: trans.__('Open again') })]
  });
  return button.accept;
}

export const connectionLostPlugin: JupyterFrontEndPlugin<IConnectionLost> = {
  id: 'jupyter-mlplat:connection-lost',
  description: 'Says that the instance has gone away, and leads to where it comes back.',
  autoStart: true,
  requires: [IPlatform, IInstanceModel],
  optional: [JupyterLab.IInfo],
  provides: IConnectionLost,
  activate: (
    _: JupyterFrontEnd,
    platform: IPlatform,
    model: InstanceModel,
    info: JupyterLab.IInfo | null
  ): IConnectionLost => {
    let isAsking = false;
    return async (manager, error, translator) => {
      const id = await platform.identity.then(
        identity => identity.instance_id || null,
        () => null
      );
      if (id === null) {
        return ConnectionLost(manager, error, translator);
      }
      if (isAsking || model.isLeaving) {
        return;
      }
      isAsking = true;
      setConnected(info, false);
      if (await wantsToLeave(platform)) {
        await platform.openConsole(`instances/${id}/open`, 'here');
      }
      setConnected(info, true);
      isAsking = false;
    };
  }
};

/** While it is not connected Lab asks nothing of its server. */
function setConnected(info: JupyterLab.IInfo | null, isConnected: boolean): void {
  if (info) {
    info.isConnected = isConnected;
  }
}
