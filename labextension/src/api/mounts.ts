import type { Moment } from './models';

export type MountStatus = 'MOUNTING' | 'MOUNTED' | 'MOUNT_FAILED' | 'UNMOUNTING' | 'UNMOUNTED' | 'UNMOUNT_FAILED';

export interface IMountCreate {
  source: string;
  name: string;
  read_only: boolean;
}

/** A folder of a bucket that an instance sees as files, at `path`. */
export interface IMount {
  id: string;
  instance_id: string;
  name: string;
  path: string;
  source: string;
  endpoint: string;
  read_only: boolean;
  status: MountStatus;
  message: string;
  created_at: Moment;
  updated_at: Moment;
}

/** Those of an instance; where nothing can be mounted, `absent` says why. */
export interface IMountList {
  mounts: IMount[];
  absent: string;
  most: number;
}
