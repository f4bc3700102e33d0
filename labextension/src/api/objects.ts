import type { Moment } from './models';

/** Where buckets are: the platform's own store (`local`), or an S3 endpoint of the user's or shared with them. */
export interface IEndpoint {
  name: string;
  owner: string;
  provider: string;
  buckets: string[];
  all_buckets: boolean;
  address: string;
  prefix: string;
  keys: 'none' | 'own' | 'temporary';
  state: 'ready' | 'failed' | 'untested';
  message: string;
}

/** Whether it is somebody else's, which then stands in its name. */
export function isShared({ name, owner }: IEndpoint): boolean {
  return owner !== '' && name.endsWith(`.${owner}`);
}

/** The endpoint that a bucket is at. */
export interface IBucketPlace {
  bucket: string;
  endpoint: string;
}

/** `key` is BUCKET/KEY; `tag` is the same as long as the content is. */
export interface IObject {
  key: string;
  size: number;
  modified_at: Moment | null;
  tag: string;
  is_prefix: boolean;
}

/** One state of an object; a deletion is the moment in which it was deleted. */
export interface IObjectVersion {
  id: string;
  modified_at: Moment | null;
  size: number;
  is_latest: boolean;
  is_deletion: boolean;
}

/** A deleted object, and the version that it was last. */
export interface IGoneObject {
  key: string;
  size: number;
  version: string;
  deleted_at: Moment;
}

/** How much lies below a folder; `more` where it is more than was counted. */
export interface IObjectCount {
  objects: number;
  bytes: number;
  more: boolean;
}

/** Both are BUCKET/KEY; folders end with /. */
export interface IObjectCopy {
  source: string;
  target: string;
  endpoint: string;
  target_endpoint: string;
  move: boolean;
}

export interface IObjectLink {
  url: string;
  expires_at: Moment;
}

export interface IListing {
  objects: IObject[];
  next: string | null;
}
