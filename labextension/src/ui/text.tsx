import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { Moment } from '../api/models';
import { usePlatform, useNow, useTrans } from './context';
import { formatAgo, formatExact, splitName } from './format';
import { IconButton } from './icon-button';
import type { IState } from './states';

/** A coloured dot with its word: never the colour alone. */
export function StateLabel(props: { state: IState }): JSX.Element {
  return (
    <span className="mlp-state" data-tone={props.state.tone}>
      <span className="mlp-dot" aria-hidden="true" />
      {props.state.word}
    </span>
  );
}

/** A name that is cut in the middle where there is no room for it, the whole on hover. */
export function Name(props: { children: string; className?: string }): JSX.Element {
  const [head, tail] = splitName(props.children);
  return (
    <span className={`mlp-name ${props.className ?? ''}`} title={props.children}>
      <span className="mlp-name-head" aria-hidden={tail !== ''}>
        {head}
      </span>
      {tail && (
        <>
          <span className="mlp-name-tail" aria-hidden="true">
            {tail}
          </span>
          <span className="mlp-unseen">{props.children}</span>
        </>
      )}
    </span>
  );
}

/** A small button that copies a text and says that it did. */
export function CopyButton(props: { text: string; label: string }): JSX.Element {
  const trans = useTrans();
  const [copied, setCopied] = React.useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(props.text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    });
  };
  return (
    <IconButton label={copied ? trans.__('Copied') : props.label} icon={copied ? checkIcon : copyIcon} onClick={copy} />
  );
}

/** A relative time with the exact one on hover. */
export function Ago(props: { moment: Moment }): JSX.Element {
  const { language, trans } = usePlatform();
  const now = useNow(10_000);
  const moment = new Date(props.moment);
  return (
    <time dateTime={props.moment} title={formatExact(moment, language)}>
      {formatAgo(moment, now, language) ?? trans.__('just now')}
    </time>
  );
}
