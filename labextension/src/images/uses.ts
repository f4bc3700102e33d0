import type { CommandRegistry } from '@lumino/commands';
import type { IImage } from '../api/models';
import { CommandIDs, type IPlatform } from '../tokens';

export interface IUse {
  label: string;
  callback: () => void;
}

/** What can be done with an image that is there now, the most likely first. */
export function usesOf(image: IImage, platform: IPlatform, commands: CommandRegistry): IUse[] {
  const { trans } = platform;
  if (image.status !== 'ACTIVE') {
    return [];
  }
  const start = {
    label: trans.__('Start an instance'),
    callback: () => void platform.openConsole(`instances/new?image=${image.id}`)
  };
  const submit = {
    label: trans.__('Use it in a job'),
    callback: () => void commands.execute(CommandIDs.submitJob, { image_id: image.id })
  };
  return [
    ...(image.services.includes('NOTEBOOK') ? [start] : []),
    ...(image.services.includes('TRAIN') ? [submit] : [])
  ];
}
