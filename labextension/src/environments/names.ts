const NAME = /^[a-z0-9_-]{1,64}$/;
const TAKEN = new Set(['base', 'python', 'python2', 'python3']);

/** Whether an environment can be called so; the server says the same. */
export function isEnvironmentName(name: string): boolean {
  return NAME.test(name) && !TAKEN.has(name);
}

/** The first of `wanted`, `wanted-2`, … that is not taken, as long as a name may be. */
export function freeName(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted.slice(0, 64);
  for (let number = 2; taken.has(name); number += 1) {
    const end = `-${number}`;
    name = wanted.slice(0, 64 - end.length) + end;
  }
  return name;
}
