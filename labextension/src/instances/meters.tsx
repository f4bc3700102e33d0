import * as React from 'react';
import type { IReadings } from '../api/models';
import { useLoaded, usePlatform, useTrans } from '../ui/context';
import { ErrorBox } from '../ui/feedback';
import { formatBytes } from '../ui/format';

const PERIOD_MS = 5000;

/** The used part of the work folder from which it is said that it is nearly full. */
const NEARLY_FULL = 0.9;

/** CPU, memory and accelerators as they are used now; read only while `inSight`. */
export function Meters(props: { inSight: boolean }): JSX.Element {
  const { client } = usePlatform();
  const [tick, setTick] = React.useState(0);
  const { value, error } = useLoaded(
    () => (props.inSight ? client.readings() : Promise.resolve(null)),
    [tick, props.inSight]
  );
  const last = React.useRef<IReadings | null>(null);
  last.current = value ?? last.current;
  React.useEffect(() => {
    if (!props.inSight) {
      return;
    }
    const timer = setInterval(() => setTick(count => count + 1), PERIOD_MS);
    return () => clearInterval(timer);
  }, [props.inSight]);
  if (error && !last.current) {
    return <ErrorBox error={error} />;
  }
  return last.current ? <Readings readings={last.current} /> : <NoReadings />;
}

function NoReadings(): JSX.Element {
  const trans = useTrans();
  return (
    <div className="mlp-meters" aria-hidden="true">
      <Meter name={trans.__('CPU')} value="" share={0} />
      <Meter name={trans.__('Memory')} value="" share={0} />
    </div>
  );
}

function Readings({ readings }: { readings: IReadings }): JSX.Element {
  const trans = useTrans();
  const { cpu, memory, accelerators, work } = readings;
  const workShare = work.size_bytes ? work.used_bytes / work.size_bytes : 0;
  return (
    <div className="mlp-meters">
      <Meter
        name={trans.__('CPU')}
        value={trans._n('%2 of 1 core', '%2 of %1 cores', cpu.cores, cpu.used.toFixed(1))}
        share={cpu.used / Math.max(cpu.cores, 1)}
      />
      <Meter
        name={trans.__('Memory')}
        value={
          memory.limit_bytes
            ? trans.__('%1 of %2', formatBytes(memory.used_bytes), formatBytes(memory.limit_bytes))
            : formatBytes(memory.used_bytes)
        }
        share={memory.limit_bytes ? memory.used_bytes / memory.limit_bytes : 0}
        note={memory.enforced ? undefined : trans.__('not enforced')}
        hint={trans.__(
          'This machine cannot hold the memory limit: using more than it is possible, and others may feel it.'
        )}
      />
      {accelerators.map((accelerator, index) => (
        <Meter
          key={index}
          name={accelerator.name}
          value={trans.__(
            '%1 % · %2 of %3',
            Math.round(accelerator.used_percent),
            formatBytes(accelerator.memory_used_bytes),
            formatBytes(accelerator.memory_bytes)
          )}
          share={accelerator.used_percent / 100}
        />
      ))}
      <Meter
        name={trans.__('Work folder')}
        value={trans.__('%1 of %2', formatBytes(work.used_bytes), formatBytes(work.size_bytes))}
        share={workShare}
        note={workShare >= NEARLY_FULL ? trans.__('nearly full') : undefined}
        hint={trans.__('Files that do not fit cannot be saved: remove what is no longer needed.')}
      />
    </div>
  );
}

interface IMeterProps {
  name: string;
  value: string;
  share: number;
  note?: string;
  hint?: string;
}

function Meter({ name, value, share, note, hint }: IMeterProps): JSX.Element {
  const percent = Math.round(100 * Math.min(1, Math.max(0, share)));
  return (
    <div className="mlp-meter" data-tone={percent >= 95 ? 'bad' : percent >= 80 ? 'warn' : 'good'}>
      <div className="mlp-meter-words">
        <span>{name}</span>
        <span className="mlp-number">{value}</span>
      </div>
      <div
        className="mlp-bar"
        role="meter"
        aria-label={name}
        aria-valuenow={percent}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <span style={{ width: `${percent}%` }} />
      </div>
      {note && (
        <div className="mlp-faint" title={hint}>
          {note}
        </div>
      )}
    </div>
  );
}
