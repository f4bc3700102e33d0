import type { TranslationBundle } from '@jupyterlab/translation';
import type { IFlavor } from '../api/models';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 1536 → "1.5 KiB". */
export function formatBytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${UNITS[unit]}`;
}

/** 192 → "3 m 12 s"; from an hour on without seconds, from a day on without minutes. */
export function formatDuration(seconds: number, trans: TranslationBundle): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60
  ];
  if (days > 0) {
    return trans.__('%1 d %2 h', days, hours);
  }
  if (hours > 0) {
    return trans.__('%1 h %2 m', hours, minutes);
  }
  return minutes > 0 ? trans.__('%1 m %2 s', minutes, whole % 60) : trans.__('%1 s', whole);
}

/** 0.91234 → "0.9123"; large and tiny numbers in scientific notation. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) {
    return String(value);
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e7) {
    return String(value);
  }
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** Memory of a flavor: whole GiB where it is one. */
export function formatMemory(mib: number): string {
  return formatBytes(mib * 1024 * 1024);
}

/** What an accelerator is called where the flavor names only its maker. */
const MAKERS: Record<string, string> = { nvidia: 'GPU', ascend: 'Ascend NPU' };

/** The accelerator first where there is one: "1× A100 · 8 vCPU", else "2 vCPU · 8 GiB". */
export function flavorLabel(flavor: IFlavor): string {
  const cpu = `${flavor.vcpus} vCPU`;
  if (flavor.accelerator) {
    const { count, type } = flavor.accelerator;
    return `${count}× ${MAKERS[type] ?? type} · ${cpu}`;
  }
  return `${cpu} · ${formatMemory(flavor.memory_mib)}`;
}

/** Where to cut a name so that its end, which tells names apart, stays in sight. */
export function splitName(name: string, tail = 8): [string, string] {
  const cut = name.length > tail * 2 ? name.length - tail : name.length;
  return [name.slice(0, cut), name.slice(cut)];
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60]
];

/** "3 minutes ago" in the given language; null for less than a minute. */
export function formatAgo(moment: Date, now: Date, language: string): string | null {
  const seconds = (moment.getTime() - now.getTime()) / 1000;
  const step = STEPS.find(([, size]) => Math.abs(seconds) >= size);
  if (!step) {
    return null;
  }
  const formatter = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  return formatter.format(Math.trunc(seconds / step[1]), step[0]);
}

export function formatExact(moment: Date, language: string): string {
  return moment.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' });
}
