import * as React from 'react';
import type { IMetricPoint } from '../api/models';
import { usePlatform, useTrans } from '../ui/context';
import { EmptyState, ErrorBox, Waiting } from '../ui/feedback';
import { formatNumber } from '../ui/format';
import type { ViewWidget } from '../ui/panel';
import { CopyButton } from '../ui/text';
import { Chart } from './chart';
import type { JobPageModel } from './page-model';
import { seriesOf } from './series';
import { useLive } from './live';
import { isOver } from './words';

const ROWS_SHOWN = 200;
const HINT = 'import mlplat; mlplat.log(step=1, loss=0.5)';

/** What the job has logged: a curve a metric, and the newest values as a table. */
export function MetricsTab({ model, widget }: { model: JobPageModel; widget: ViewWidget }): JSX.Element {
  const { client, trans } = usePlatform();
  const { value: points, error, retry } = useLive(model, widget, () => client.jobMetrics(model.id));
  const [log, setLog] = React.useState(false);
  const [smoothing, setSmoothing] = React.useState(0);
  if (error) {
    return <ErrorBox error={error} retry={retry} />;
  }
  if (!points) {
    return <Waiting>{trans.__('Reading the metrics…')}</Waiting>;
  }
  if (points.length === 0) {
    return <NoMetrics over={model.job ? isOver(model.job) : false} />;
  }
  return (
    <div className="mlp-tab-body">
      <div className="mlp-row mlp-chart-bar">
        <label className="mlp-check">
          <input type="checkbox" checked={log} onChange={event => setLog(event.target.checked)} />
          {trans.__('Log scale')}
        </label>
        <label className="mlp-check">
          {trans.__('Smoothing')}
          <input
            type="range"
            min="0"
            max="0.95"
            step="0.05"
            value={smoothing}
            onChange={event => setSmoothing(Number(event.target.value))}
          />
        </label>
      </div>
      <div className="mlp-charts">
        {seriesOf(points).map(series => (
          <Chart key={series.name} series={series} log={log} smoothing={smoothing} />
        ))}
      </div>
      <PointTable points={points} />
    </div>
  );
}

function NoMetrics({ over }: { over: boolean }): JSX.Element {
  const trans = useTrans();
  return (
    <EmptyState>
      {over ? trans.__('This job logged no metrics.') : trans.__('This job has logged no metrics yet.')}{' '}
      {trans.__('A cell or script logs some with')}
      <br />
      <code>{HINT}</code> <CopyButton text={HINT} label={trans.__('Copy')} />
    </EmptyState>
  );
}

function PointTable({ points }: { points: IMetricPoint[] }): JSX.Element {
  const trans = useTrans();
  const names = [...new Set(points.flatMap(point => Object.keys(point.values)))];
  const newest = points.slice(-ROWS_SHOWN).reverse();
  return (
    <table className="mlp-table">
      <thead>
        <tr>
          <th className="mlp-number">{trans.__('Step')}</th>
          {names.map(name => (
            <th key={name} className="mlp-number">
              {name}
            </th>
          ))}
          <th>{trans.__('Time')}</th>
        </tr>
      </thead>
      <tbody>
        {newest.map((point, index) => (
          <tr key={points.length - index}>
            <td className="mlp-number">{point.step ?? '–'}</td>
            {names.map(name => (
              <td key={name} className="mlp-number">
                {point.values[name] === undefined ? '' : formatNumber(point.values[name])}
              </td>
            ))}
            <td>{new Date(point.at).toLocaleTimeString()}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
