import * as React from 'react';
import type { IFlavorChoice } from '../api/models';
import { countUnsaved, leaveDesk, type IDesk } from '../instances/documents';
import type { InstanceModel } from '../instances/model';
import { Kept } from '../instances/stop';
import type { IPlatform } from '../tokens';
import { ask } from '../ui/dialog';
import { flavorLabel } from '../ui/format';
import { said } from '../ui/said';

/** Switch to a flavor: at once where that is possible, else after a question, by a restart. */
export async function switchFlavor(
  platform: IPlatform,
  model: InstanceModel,
  desk: IDesk,
  choice: IFlavorChoice
): Promise<void> {
  if (choice.effect === 'live') {
    await model.switchTo(choice.flavor.id, false);
  } else if (choice.effect === 'restart') {
    await restartInto(platform, model, desk, choice);
  }
}

async function restartInto(
  platform: IPlatform,
  model: InstanceModel,
  desk: IDesk,
  choice: IFlavorChoice
): Promise<void> {
  const { trans } = platform;
  const switched = await ask(platform, {
    title: trans.__('Switch to %1?', flavorLabel(choice.flavor)),
    verb: trans.__('Restart and switch'),
    warn: true,
    body: () => (
      <>
        <p>{trans.__('The switch %1.', said(trans, choice.note))}</p>
        <Kept platform={platform} unsaved={countUnsaved(desk)} />
        <p>{trans.__('Lab comes back by itself, with the documents that are open now.')}</p>
      </>
    ),
    accept: async say => {
      say(trans.__('Saving the open documents…'));
      await leaveDesk(desk);
      say(trans.__('Asking for the restart…'));
      await model.switchTo(choice.flavor.id, true);
      return true;
    }
  });
  if (switched) {
    await platform.openConsole(`instances/${await model.id()}/open`, 'here');
  }
}
