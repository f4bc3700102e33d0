import type { ITouch } from './models';

export type Noun = 'instance' | 'image' | 'job' | 'storage' | 'ssh-key';

/** Whether an event or a touch is about a thing of this kind. */
export function concerns(change: ITouch, noun: Noun): boolean {
  return change.noun === noun;
}
