const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SOURCE = /^(obs|s3):\/\/[^/\s]+(\/|$)/;

export function isMountName(name: string): boolean {
  return NAME.test(name);
}

/** Whether it says a bucket, or a folder in one. */
export function isSource(source: string): boolean {
  return SOURCE.test(source.trim());
}

/** The last part of obs://BUCKET/FOLDER/, which is what the mount is called unless somebody says otherwise. */
export function suggestedName(source: string): string {
  const parts = source
    .trim()
    .split('/')
    .filter(part => part !== '');
  return isSource(source) ? (parts[parts.length - 1] ?? '') : '';
}
