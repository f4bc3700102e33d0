import * as React from 'react';
import type { IStep } from '../api/models';
import { useNow, useTrans } from './context';
import { formatDuration } from './format';
import type { Tone } from './states';

const TONES: Record<IStep['status'], Tone> = { WAITING: 'idle', PROCESSING: 'busy', FAILED: 'bad', COMPLETED: 'good' };

/** The steps of a start with their times; the one under way counts up. */
export function Steps(props: { steps: IStep[] }): JSX.Element {
  const now = useNow(props.steps.some(step => step.status === 'PROCESSING') ? 1000 : 0);
  return (
    <ol className="mlp-steps">
      {props.steps.map(step => (
        <StepRow key={step.name} step={step} now={now} />
      ))}
    </ol>
  );
}

function StepRow({ step, now }: { step: IStep; now: Date }): JSX.Element {
  const trans = useTrans();
  const words: Record<string, string> = {
    PREPARE_STORAGE: trans.__('Prepare storage'),
    PREPARE_COMPUTE: trans.__('Prepare compute'),
    CONFIGURE_NETWORK: trans.__('Configure network'),
    INITIALISE: trans.__('Start the server')
  };
  const end = step.finished_at ? new Date(step.finished_at) : now;
  const seconds = step.started_at ? (end.getTime() - new Date(step.started_at).getTime()) / 1000 : null;
  return (
    <li className="mlp-state" data-tone={TONES[step.status]} title={step.message}>
      <span className="mlp-dot" aria-hidden="true" />
      <span className="mlp-grow">{words[step.name] ?? step.name}</span>
      {seconds !== null && <span className="mlp-number mlp-faint">{formatDuration(seconds, trans)}</span>}
    </li>
  );
}
