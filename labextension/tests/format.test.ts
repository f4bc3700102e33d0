import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import type { IFlavor } from '../src/api/models';
import {
  flavorLabel,
  formatAgo,
  formatBytes,
  formatDuration,
  formatMemory,
  formatNumber,
  splitName
} from '../src/ui/format';

const FLAVOR: IFlavor = {
  id: 'cpu.2u8g',
  name: 'CPU',
  arch: 'x86_64',
  category: 'CPU',
  vcpus: 2,
  memory_mib: 8192,
  accelerator: null
};

describe('sizes and numbers', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 ** 2 - 1, '1 MiB'],
    [286.1 * 1024 ** 2, '286 MiB'],
    [1.25 * 1024 ** 3, '1.3 GiB']
  ])('%d bytes are %s', (bytes, words) => expect(formatBytes(bytes)).toBe(words));

  it.each([
    [45.9, '45 s'],
    [192, '3 m 12 s'],
    [3600, '1 h 0 m'],
    [90_061, '1 d 1 h'],
    [-3, '0 s']
  ])('%d seconds are %s', (seconds, words) => expect(formatDuration(seconds, nullTranslator.load(''))).toBe(words));

  it.each([
    [0.91234, '0.9123'],
    [3, '3'],
    [0.00001234, '1.23e-5'],
    [123456.7, '1.23e+5'],
    [NaN, 'NaN']
  ])('%d is written %s', (value, words) => expect(formatNumber(value)).toBe(words));

  it('writes memory in the unit that fits', () => expect(formatMemory(512)).toBe('512 MiB'));
});

describe('labels', () => {
  it('names CPU and memory of a flavor', () => expect(flavorLabel(FLAVOR)).toBe('2 vCPU · 8 GiB'));

  it('names the accelerator first where there is one', () => {
    const accelerator = { type: 'A100', count: 1, memory_mib: 81920 };
    expect(flavorLabel({ ...FLAVOR, vcpus: 8, accelerator })).toBe('1× A100 · 8 vCPU');
  });

  it('cuts only long names, and keeps their end', () => {
    expect(splitName('train.ipynb')).toEqual(['train.ipynb', '']);
    expect(splitName('a-name-that-is-long-2026')).toEqual(['a-name-that-is-l', 'ong-2026']);
  });
});

describe('times', () => {
  const now = new Date('2026-03-01T12:00:00Z');

  it.each([
    ['2026-03-01T11:59:30Z', null],
    ['2026-03-01T11:57:01Z', '2 min. ago'],
    ['2026-03-01T09:00:00Z', '3 hr. ago'],
    ['2026-02-28T11:00:00Z', 'yesterday']
  ])('%s is %s', (moment, words) => expect(formatAgo(new Date(moment), now, 'en')).toBe(words));

  it('speaks the language of Lab', () => {
    expect(formatAgo(new Date('2026-03-01T11:57:00Z'), now, 'zh-CN')).toBe('3分钟前');
  });
});
