import * as React from 'react';
import { ApiError } from '../api/transport';
import { usePlatform, useSignal, useTrans } from './context';
import { formatDuration } from './format';

/** What is being waited for, in words; after 10 s also for how long. */
export function Waiting(props: { children: React.ReactNode }): JSX.Element {
  const trans = useTrans();
  const [seconds, setSeconds] = React.useState(0);
  React.useEffect(() => {
    const timer = setInterval(() => setSeconds(value => value + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <div className="mlp-waiting" role="status">
      <span className="mlp-spinner" aria-hidden="true" />
      <span>
        {props.children}
        {seconds >= 10 && <span className="mlp-faint"> {trans.__('(%1)', formatDuration(seconds, trans))}</span>}
      </span>
    </div>
  );
}

/** What happened, what to do about it, and a fold with the code and the request id. */
export function ErrorBox(props: { error: unknown; retry?: () => void }): JSX.Element {
  const trans = useTrans();
  const { error } = props;
  const message = error instanceof Error ? error.message : String(error);
  return (
    <div className="mlp-error" role="alert">
      <div>{message}</div>
      <div className="mlp-error-foot">
        {error instanceof ApiError && error.code !== 'NETWORK' && <ErrorDetails error={error} />}
        {props.retry && (
          <button type="button" className="mlp-link" onClick={props.retry}>
            {trans.__('Try again')}
          </button>
        )}
      </div>
    </div>
  );
}

function ErrorDetails({ error }: { error: ApiError }): JSX.Element {
  const trans = useTrans();
  return (
    <details>
      <summary>{trans.__('Details')}</summary>
      <code>{error.code}</code>
      {error.requestId && <code> · {trans.__('request %1', error.requestId)}</code>}
    </details>
  );
}

/** Says that the platform is away while it is, and else what has gone wrong, if anything has. */
export function Trouble(props: { error: unknown; retry: () => void }): JSX.Element | null {
  const { events, trans } = usePlatform();
  useSignal(events.connected);
  if (!events.isAway) {
    return props.error === null ? null : <ErrorBox {...props} />;
  }
  return (
    <div className="mlp-away" role="status">
      {trans.__('The platform cannot be reached just now; your kernels keep running. Trying again…')}
    </div>
  );
}

/** Why there is nothing here, and the one thing to do. */
export function EmptyState(props: { children: React.ReactNode; action?: string; onAction?: () => void }): JSX.Element {
  return (
    <div className="mlp-empty">
      <p>{props.children}</p>
      {props.action && (
        <button type="button" className="mlp-button" onClick={props.onAction}>
          {props.action}
        </button>
      )}
    </div>
  );
}

/** A bar of `done` in `total`; without a total it only moves. */
export function ProgressBar(props: { done: number; total: number; label: string }): JSX.Element {
  const { done, total, label } = props;
  const known = total > 0;
  return (
    <div
      className={known ? 'mlp-progress' : 'mlp-progress mlp-mod-unknown'}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={known ? total : undefined}
      aria-valuenow={known ? done : undefined}
    >
      <span style={known ? { width: `${Math.min(100, (100 * done) / total)}%` } : undefined} />
    </div>
  );
}

/** A section that can be folded; folded by default. */
export function Fold(props: { title: string; open?: boolean; children: React.ReactNode }): JSX.Element {
  return (
    <details className="mlp-fold" open={props.open}>
      <summary>{props.title}</summary>
      <div className="mlp-fold-body">{props.children}</div>
    </details>
  );
}
