import { describe, expect, it } from 'vitest';
import { seriesOf, smooth, thin, ticks } from '../src/jobs/series';

const AT = '2026-03-01T12:00:00Z';

describe('series', () => {
  it('has one for each metric, and counts steps that were not given', () => {
    const points = [
      { step: 5, at: AT, values: { loss: 1 } },
      { step: null, at: AT, values: { loss: 0.5, accuracy: 0.9 } }
    ];
    expect(seriesOf(points)).toEqual([
      {
        name: 'loss',
        points: [
          [5, 1],
          [6, 0.5]
        ]
      },
      { name: 'accuracy', points: [[0, 0.9]] }
    ]);
  });

  it('thinned keeps its peaks and its order', () => {
    const points = Array.from({ length: 10_000 }, (_, step): [number, number] => [step, step === 5000 ? 99 : 1]);
    const few = thin(points, 100);
    expect(few.length).toBeLessThanOrEqual(100);
    expect(few).toContainEqual([5000, 99]);
    expect(few.every(([step], index) => index === 0 || step > few[index - 1]![0])).toBe(true);
  });

  it('smoothed with weight 0 is the same', () => {
    expect(smooth([[0, 1], [1, 3]], 0)).toEqual([[0, 1], [1, 3]]); // prettier-ignore
    expect(smooth([[0, 1], [1, 3]], 0.5)[1]).toEqual([1, 2]); // prettier-ignore
  });
});

describe('ticks', () => {
  it('are round and inside', () => {
    expect(ticks(0, 1)).toEqual([0, 0.5, 1]);
    expect(ticks(0.13, 0.88)).toEqual([0.2, 0.4, 0.6, 0.8]);
    expect(ticks(3, 3)).toEqual([3]);
  });
});
