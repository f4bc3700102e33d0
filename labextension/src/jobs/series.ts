import type { IMetricPoint } from '../api/models';

export interface ISeries {
  name: string;
  /** [step, value], in the order in which they were logged. */
  points: [number, number][];
}

const MOST_POINTS = 600;

/** One series a metric, over its steps; a point without a step counts on from the one before. */
export function seriesOf(points: IMetricPoint[]): ISeries[] {
  const series = new Map<string, [number, number][]>();
  for (const point of points) {
    for (const [name, value] of Object.entries(point.values)) {
      const own = series.get(name) ?? [];
      series.set(name, own);
      own.push([point.step ?? (own.length > 0 ? own[own.length - 1]![0] + 1 : 0), value]);
    }
  }
  return [...series].map(([name, own]) => ({ name, points: own }));
}

/** An exponential moving average; `weight` 0 changes nothing, towards 1 it gets smoother. */
export function smooth(points: [number, number][], weight: number): [number, number][] {
  let mean = points[0]?.[1] ?? 0;
  return points.map(([step, value]) => {
    mean = Number.isFinite(value) ? weight * mean + (1 - weight) * value : mean;
    return [step, mean];
  });
}

/** Few enough points to draw: of each stretch the lowest and the highest stay, so that no peak is lost. */
export function thin(points: [number, number][], most = MOST_POINTS): [number, number][] {
  if (points.length <= most) {
    return points;
  }
  const size = Math.ceil((2 * points.length) / most);
  const kept: [number, number][] = [];
  for (let start = 0; start < points.length; start += size) {
    const stretch = points.slice(start, start + size).sort((one, other) => one[1] - other[1]);
    const ends = [stretch[0]!, stretch[stretch.length - 1]!].sort((one, other) => one[0] - other[0]);
    kept.push(...(ends[0] === ends[1] ? [ends[0]!] : ends));
  }
  return kept;
}

/** Round values for the lines of a scale from `low` to `high`. */
export function ticks(low: number, high: number, count = 4): number[] {
  const rough = (high - low) / count;
  if (!(rough > 0)) {
    return [low];
  }
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough)!;
  const first = Math.ceil(low / step - 1e-9) * step;
  const found: number[] = [];
  for (let value = first; value <= high + step * 1e-9; value += step) {
    found.push(Number(value.toPrecision(12)));
  }
  return found;
}
