import {
  ConnectionLost,
  IConnectionLost,
  ILabShell,
  ILayoutRestorer,
  JupyterLab,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Dialog, IWindowResolver } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IStateDB } from '@jupyterlab/statedb';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IInstanceModel, IPlatform } from '../tokens';
import { PlatformProvider, useModel, useTrans } from '../ui/context';
import { Waiting } from '../ui/feedback';
import { Absence, type Away } from './absence';
import { leaveDesk, type IDesk } from './documents';
import { MissingFolder } from './missing-folder';
import type { InstanceModel } from './model';

function titleOf(trans: TranslationBundle, away: Away): string {
  return away === 'down' ? trans.__('This instance is not running') : trans.__('This instance does not answer');
}

function wordsOf(trans: TranslationBundle, away: Away): string {
  return away === 'down'
    ? trans.__(
        'It has stopped, or is being started again. Your files, the environment and the open documents are kept. ' +
          'The console shows how it is, and starts it.'
      )
    : trans.__('The connection may be broken, or its server has ended.');
}

function Title({ absence }: { absence: Absence }): JSX.Element {
  useModel(absence);
  return <>{titleOf(useTrans(), absence.away)}</>;
}

function Words({ absence }: { absence: Absence }): JSX.Element {
  const trans = useTrans();
  useModel(absence);
  return (
    <div className="mlp-form">
      <p>{wordsOf(trans, absence.away)}</p>
      <Waiting>{trans.__('Lab comes back by itself as soon as it answers.')}</Waiting>
    </div>
  );
}

/** Says that the server is away until it is back or the user has gone to the console. */
class AbsenceDialog {
  constructor(private readonly platform: IPlatform) {}

  async open(absence: Absence): Promise<void> {
    const { platform } = this;
    const { trans } = platform;
    const view = (content: JSX.Element) => <PlatformProvider platform={platform}>{content}</PlatformProvider>;
    this._dialog = new Dialog({
      title: view(<Title absence={absence} />),
      body: view(<Words absence={absence} />),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Stay here') }),
        Dialog.okButton({ label: trans.__('Open the console') })
      ]
    });
    this._dialog.addClass('mlp-dialog');
    const { button } = await this._dialog.launch();
    this._dialog = null;
    if (button.accept) {
      const { instance_id: id } = await platform.identity;
      await platform.openConsole(`instances/${id}/open`, 'here');
    }
  }

  close(): void {
    this._dialog?.reject();
  }

  private _dialog: Dialog<unknown> | null = null;
}

function absenceOf(platform: IPlatform, model: InstanceModel, desk: IDesk, info: JupyterLab.IInfo | null): Absence {
  const dialog = new AbsenceDialog(platform);
  const folder = new MissingFolder(platform.translator);
  const absence: Absence = new Absence(platform, {
    gone: () => {
      setConnected(info, false);
      folder.keepBack();
      if (!model.isLeaving) {
        void dialog.open(absence);
      }
    },
    same: () => {
      setConnected(info, true);
      folder.letThrough();
      dialog.close();
    },
    other: async () => {
      if (!model.isLeaving) {
        model.isLeaving = true;
        await leaveDesk(desk).catch(() => undefined); // What cannot be saved is in the way of nothing else.
        window.location.reload();
      }
    }
  });
  return absence;
}

/** While it is not connected Lab asks nothing of its server. */
function setConnected(info: JupyterLab.IInfo | null, isConnected: boolean): void {
  if (info) {
    info.isConnected = isConnected;
  }
}

export const connectionLostPlugin: JupyterFrontEndPlugin<IConnectionLost> = {
  id: 'jupyter-mlplat:connection-lost',
  description: 'Says that the instance has gone away, and brings Lab back with it.',
  autoStart: true,
  requires: [IPlatform, IInstanceModel, IDocumentManager],
  optional: [ILabShell, ILayoutRestorer, IStateDB, IWindowResolver, JupyterLab.IInfo],
  provides: IConnectionLost,
  activate: (
    app: JupyterFrontEnd,
    platform: IPlatform,
    model: InstanceModel,
    documents: IDocumentManager,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    state: IStateDB | null,
    resolver: IWindowResolver | null,
    info: JupyterLab.IInfo | null
  ): IConnectionLost => {
    const desk: IDesk = { app, documents, shell, restorer, state, window: resolver };
    const absence = absenceOf(platform, model, desk, info);
    const look = () => void absence.look().catch(() => undefined);
    // Our stream of events notices an absence sooner than Lab, which asks every ten seconds. A short one leaves no
    // other trace than a stream or kernels that end.
    platform.client.transport.unreachable.connect(look);
    platform.events.connected.connect((_, connected) => connected && look());
    app.serviceManager.kernels.runningChanged.connect(look);
    return async (manager, error, translator) => {
      try {
        await absence.look();
      } catch {
        // It is not known who this server was: it never was an instance's, or Lab has only begun.
        await ConnectionLost(manager, error, translator);
      }
    };
  }
};
