/** A place in the storage is BUCKET/PREFIX/ with a / at its end; the empty one lists the buckets. */

export function parentOf(place: string): string {
  const parts = place.replace(/\/$/, '').split('/');
  parts.pop();
  return parts.length > 0 ? parts.join('/') + '/' : '';
}

/** The last part of a key or place, without the / at its end. */
export function nameOf(key: string): string {
  return key.replace(/\/$/, '').split('/').pop() ?? '';
}

export function bucketOf(place: string): string {
  return place.split('/')[0] ?? '';
}

/** The crumbs from the bucket to a place: [name, place]. */
export function crumbsOf(place: string): [string, string][] {
  const parts = place.split('/').filter(part => part !== '');
  return parts.map((part, index) => [part, parts.slice(0, index + 1).join('/') + '/']);
}

export function obsUrl(key: string): string {
  return `obs://${key}`;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export function isBucketName(name: string): boolean {
  return BUCKET.test(name);
}
