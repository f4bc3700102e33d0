import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import type { IImage } from '../src/api/models';
import { marksInShort, marksOf } from '../src/images/marks';

const trans = nullTranslator.load('');

function image(changes: Partial<IImage>): IImage {
  return { outdated: false, base_name: null, retires_on: null, instead: '', ...changes } as IImage;
}

const NOON = new Date('2026-11-28T12:00:00Z');

describe('marks of an image', () => {
  it('are none for one that is kept up', () => {
    expect(marksOf(image({}), trans, NOON)).toEqual([]);
    expect(marksInShort(image({}), trans)).toEqual([]);
  });

  it('say when it ends, and what to take then', () => {
    const ends = { retires_on: '2027-01-31', instead: 'python:3.13' };
    expect(marksOf(image(ends), trans, NOON)).toEqual(['To be retired on 2027-01-31. Take python:3.13 instead.']);
    expect(marksOf(image({ retires_on: '2026-11-28' }), trans, NOON)).toEqual(['Retired since 2026-11-28.']);
  });

  it('say that its base is another one now', () => {
    const [mark] = marksOf(image({ outdated: true, base_name: 'python:3.12' }), trans, NOON);
    expect(mark).toContain('python:3.12');
    expect(marksInShort(image({ outdated: true, retires_on: '2027-01-31' }), trans)).toEqual([
      'outdated base',
      'ends 2027-01-31'
    ]);
  });
});
