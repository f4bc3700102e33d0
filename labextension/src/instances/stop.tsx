import * as React from 'react';
import type { IPlatform } from '../tokens';
import { ask } from '../ui/dialog';
import { countUnsaved, leaveDesk, type IDesk } from './documents';
import type { InstanceModel } from './model';

/** Ask, save what is open, stop the instance and go to the console. */
export async function stopInstance(platform: IPlatform, model: InstanceModel, desk: IDesk): Promise<void> {
  const { trans } = platform;
  const stopped = await ask(platform, {
    title: trans.__('Stop this instance?'),
    verb: trans.__('Stop'),
    warn: true,
    body: () => (
      <>
        <Kept platform={platform} unsaved={countUnsaved(desk)} />
        <p>{trans.__('Jobs go on. You can start the instance again in the console.')}</p>
      </>
    ),
    accept: async say => {
      say(trans.__('Saving the open documents…'));
      await leaveDesk(desk);
      say(trans.__('Stopping the instance…'));
      await model.stop();
      return true;
    }
  });
  if (stopped) {
    await platform.openConsole('', 'here');
  }
}

/** What a restart or a stop keeps and what it does not. */
export function Kept(props: { platform: IPlatform; unsaved: number }): JSX.Element {
  const { trans } = props.platform;
  return (
    <dl className="mlp-kept">
      <dt data-tone="good">{trans.__('Kept')}</dt>
      <dd>
        {trans.__('your files, the environment with its packages, the open documents')}
        {props.unsaved > 0 && (
          <> {trans._n('(one with changes is saved first)', '(%1 with changes are saved first)', props.unsaved)}</>
        )}
      </dd>
      <dt data-tone="warn">{trans.__('Lost')}</dt>
      <dd>{trans.__('variables in kernels, running cells and terminals')}</dd>
    </dl>
  );
}
