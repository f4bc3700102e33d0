import type { IEvent } from '../api/models';
import { concerns } from '../api/nouns';
import type { IPlatform } from '../tokens';
import { leaveDesk, type IDesk } from './documents';
import type { InstanceModel } from './model';

/** Events after which the server of the instance ends, and the page of the console that shows what comes of it. */
const ENDS: Record<string, (id: string) => string> = {
  StopNotebook: id => `instances/${id}/open`,
  DeleteRequested: () => ''
};

/** Leave Lab when its instance is stopped, restarted or deleted from elsewhere: the console brings it back. */
export function leaveWithInstance(platform: IPlatform, model: InstanceModel, desk: IDesk): void {
  platform.events.changed.connect((_, event) => {
    if (concerns(event, 'instance') && event.type in ENDS && event.resource_id === model.instance?.id) {
      void leave(platform, model, desk, event);
    }
  });
}

async function leave(platform: IPlatform, model: InstanceModel, desk: IDesk, event: IEvent): Promise<void> {
  if (model.isLeaving) {
    return;
  }
  model.isLeaving = true;
  await leaveDesk(desk).catch(() => undefined); // The server may be gone already.
  await platform.openConsole(ENDS[event.type]!(event.resource_id), 'here');
}
