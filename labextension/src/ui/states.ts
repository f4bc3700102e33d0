import type { TranslationBundle } from '@jupyterlab/translation';
import type { IImage, IInstance, IJob, Phase, Status } from '../api/models';
import type { IMount, MountStatus } from '../api/mounts';

/** How a state feels: it gives the dot its colour. The word beside it says the same. */
export type Tone = 'good' | 'busy' | 'idle' | 'warn' | 'bad';

export interface IState {
  tone: Tone;
  word: string;
}

export function instanceState(trans: TranslationBundle, instance: IInstance): IState {
  const states: Record<Status, IState> = {
    INIT: { tone: 'busy', word: trans.__('Waiting') },
    CREATING: { tone: 'busy', word: trans.__('Creating') },
    STARTING: { tone: 'busy', word: trans.__('Starting') },
    RUNNING: { tone: 'good', word: trans.__('Running') },
    STOPPING: { tone: 'busy', word: trans.__('Stopping') },
    STOPPED: { tone: 'idle', word: trans.__('Stopped') },
    SNAPSHOTTING: { tone: 'busy', word: trans.__('Saving image') },
    DELETING: { tone: 'busy', word: trans.__('Deleting') },
    DELETED: { tone: 'idle', word: trans.__('Deleted') },
    CREATE_FAILED: { tone: 'bad', word: trans.__('Could not be created') },
    START_FAILED: { tone: 'bad', word: trans.__('Could not be started') },
    DELETE_FAILED: { tone: 'bad', word: trans.__('Could not be deleted') },
    ERROR: { tone: 'bad', word: trans.__('Error') },
    FROZEN: { tone: 'warn', word: trans.__('Frozen') }
  };
  return states[instance.status];
}

export function jobState(trans: TranslationBundle, job: IJob): IState {
  const states: Record<Phase, IState> = {
    Creating: { tone: 'busy', word: trans.__('Preparing') },
    Pending: { tone: 'busy', word: trans.__('Waiting') },
    Running: { tone: 'busy', word: trans.__('Running') },
    Failed: { tone: 'bad', word: trans.__('Failed') },
    Completed: { tone: 'good', word: trans.__('Completed') },
    Terminating: { tone: 'busy', word: trans.__('Stopping') },
    Terminated: { tone: 'idle', word: trans.__('Stopped') },
    Abnormal: { tone: 'bad', word: trans.__('Interrupted') }
  };
  return states[job.phase];
}

export function imageState(trans: TranslationBundle, image: IImage): IState {
  switch (image.status) {
    case 'INIT':
    case 'CREATING':
      return { tone: 'busy', word: image.built ? trans.__('Building') : trans.__('Saving') };
    case 'ACTIVE':
      return { tone: 'good', word: trans.__('Ready') };
    case 'DELETED':
      return { tone: 'idle', word: trans.__('Deleted') };
    default:
      return { tone: 'bad', word: image.built ? trans.__('Could not be built') : trans.__('Could not be saved') };
  }
}

export function mountState(trans: TranslationBundle, mount: IMount): IState {
  const states: Record<MountStatus, IState> = {
    MOUNTING: { tone: 'busy', word: trans.__('Mounting') },
    MOUNTED: { tone: 'good', word: trans.__('Mounted') },
    MOUNT_FAILED: { tone: 'bad', word: trans.__('Could not be mounted') },
    UNMOUNTING: { tone: 'busy', word: trans.__('Unmounting') },
    UNMOUNTED: { tone: 'idle', word: trans.__('Not mounted') },
    UNMOUNT_FAILED: { tone: 'bad', word: trans.__('Could not be unmounted') }
  };
  return states[mount.status];
}
