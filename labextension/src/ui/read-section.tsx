import { addIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { ErrorBox, Waiting } from './feedback';
import { IconButton } from './icon-button';

interface IReadModel {
  /** Why it could not be read; null when it could. */
  readonly error: unknown;
  refresh(): Promise<void>;
}

interface IReadSectionProps {
  title: string;
  model: IReadModel;
  inSight: boolean;
  /** Words for as long as nothing was read. */
  waiting: string | null;
  add?: { label: string; run: () => void };
}

/** A section of a panel whose model is read whenever it comes into sight. What it is in renders it anew with the model. */
export function ReadSection(props: React.PropsWithChildren<IReadSectionProps>): JSX.Element {
  const { title, model, inSight, waiting, add, children } = props;
  React.useEffect(() => {
    if (inSight) {
      void model.refresh();
    }
  }, [model, inSight]);
  return (
    <section>
      <div className="mlp-row">
        <h3 className="mlp-grow">{title}</h3>
        {add && <IconButton label={add.label} icon={addIcon} onClick={add.run} />}
      </div>
      {model.error !== null && <ErrorBox error={model.error} retry={() => void model.refresh()} />}
      {model.error === null && waiting && <Waiting>{waiting}</Waiting>}
      {children}
    </section>
  );
}
