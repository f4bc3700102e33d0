const NAME = /^[a-z0-9]+([._-][a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;

export function isImageName(name: string): boolean {
  return name.length <= 128 && NAME.test(name);
}

export function isImageTag(tag: string): boolean {
  return tag.length <= 64 && TAG.test(tag);
}

/** A name for what is saved from an image: the image's own, without its tag. */
export function suggestName(image: string): string {
  const name = (image.split('/').pop() ?? '')
    .replace(/:.*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return name || 'my-image';
}

const ENVIRONMENT = /^opt\/mlplat\/env\//;
const PACKAGES = /^lib\/python[^/]*\/site-packages\//;

/** A path in an image as its user knows it: below the environment without saying so, packages by their own name. */
export function shownPath(path: string): string {
  return path.replace(ENVIRONMENT, '').replace(PACKAGES, '');
}

/** A tag that sorts by time and can be read: 2026-03-01-0905. */
export function suggestTag(now: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}`;
}
