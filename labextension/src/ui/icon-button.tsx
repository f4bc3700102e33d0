import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

/** A small button with an icon. A click on it does not reach the row that it stands in. */
export function IconButton(props: {
  label: string;
  icon: LabIcon;
  onClick: (button: HTMLElement) => void;
}): JSX.Element {
  const onClick = (event: React.MouseEvent<HTMLElement>) => {
    event.stopPropagation();
    props.onClick(event.currentTarget);
  };
  return (
    <button type="button" className="mlp-icon-button" title={props.label} aria-label={props.label} onClick={onClick}>
      <props.icon.react tag="span" width="16px" />
    </button>
  );
}
