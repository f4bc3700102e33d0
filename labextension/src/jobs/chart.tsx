import * as React from 'react';
import { useTrans } from '../ui/context';
import { formatNumber } from '../ui/format';
import { smooth, thin, ticks, type ISeries } from './series';

const WIDTH = 420;
const HEIGHT = 200;
const LEFT = 52;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 24;

interface IScale {
  x: (step: number) => number;
  y: (value: number) => number;
  steps: number[];
  values: number[];
}

function scaleOf(points: [number, number][], log: boolean): IScale {
  const to = (value: number) => (log ? Math.log10(value) : value);
  const xs = points.map(([step]) => step);
  const ys = points.map(([, value]) => to(value));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const margin = (high - low || Math.abs(high) || 1) * 0.05;
  const [y0, y1] = [low - margin, high + margin];
  const values = ticks(y0, y1).map(value => (log ? 10 ** value : value));
  return {
    x: step => LEFT + ((step - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT),
    y: value => HEIGHT - BOTTOM - ((to(value) - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM),
    steps: ticks(x0, x1, 5),
    values
  };
}

function path(points: [number, number][], scale: IScale): string {
  return points
    .map(([step, value], index) => `${index ? 'L' : 'M'}${scale.x(step).toFixed(1)} ${scale.y(value).toFixed(1)}`)
    .join('');
}

/** The curve of one metric over its steps; the value under the pointer is said in words. */
export function Chart(props: { series: ISeries; log: boolean; smoothing: number }): JSX.Element {
  const trans = useTrans();
  const { series, log, smoothing } = props;
  const [at, setAt] = React.useState<number | null>(null);
  const drawn = thin(series.points.filter(([, value]) => Number.isFinite(value) && (!log || value > 0)));
  const last = series.points[series.points.length - 1]!;
  if (drawn.length === 0) {
    return (
      <figure className="mlp-chart">
        <figcaption>{series.name}</figcaption>
        <p className="mlp-note">{trans.__('No value can be drawn on this scale.')}</p>
      </figure>
    );
  }
  const scale = scaleOf(drawn, log);
  const near =
    at === null ? null : drawn.reduce((one, other) => (distance(other, at) < distance(one, at) ? other : one));
  const [step, value] = near ?? last;
  const onMove = (event: React.PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * WIDTH;
    const ends = [drawn[0]![0], drawn[drawn.length - 1]![0]] as const;
    setAt(ends[0] + ((across - LEFT) / (WIDTH - LEFT - RIGHT)) * (ends[1] - ends[0]));
  };
  return (
    <figure className="mlp-chart">
      <figcaption>
        <strong className="mlp-grow mlp-ellipsis">{series.name}</strong>
        <span className="mlp-number">
          {formatNumber(value)} <span className="mlp-faint">{trans.__('at step %1', step)}</span>
        </span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={trans.__('%1, last value %2', series.name, formatNumber(last[1]))}
        onPointerMove={onMove}
        onPointerLeave={() => setAt(null)}
      >
        <Grid scale={scale} />
        {smoothing > 0 && <path className="mlp-curve mlp-mod-raw" d={path(drawn, scale)} />}
        <path className="mlp-curve" d={path(smoothing > 0 ? smooth(drawn, smoothing) : drawn, scale)} />
        {(near || drawn.length === 1) && (
          <circle
            className="mlp-curve-point"
            cx={scale.x((near ?? drawn[0]!)[0])}
            cy={scale.y((near ?? drawn[0]!)[1])}
            r="3"
          />
        )}
      </svg>
    </figure>
  );
}

function distance(point: [number, number], at: number): number {
  return Math.abs(point[0] - at);
}

function Grid({ scale }: { scale: IScale }): JSX.Element {
  return (
    <g className="mlp-grid">
      {scale.values.map(value => (
        <React.Fragment key={value}>
          <line x1={LEFT} x2={WIDTH - RIGHT} y1={scale.y(value)} y2={scale.y(value)} />
          <text x={LEFT - 6} y={scale.y(value) + 4} textAnchor="end">
            {formatNumber(value)}
          </text>
        </React.Fragment>
      ))}
      {scale.steps.map(step => (
        <text key={step} x={scale.x(step)} y={HEIGHT - 6} textAnchor="middle">
          {formatNumber(step)}
        </text>
      ))}
    </g>
  );
}
