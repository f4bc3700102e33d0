import { checkIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { Category, IFlavorChoice } from '../api/models';
import type { InstanceModel } from '../instances/model';
import { useModel, useTrans } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import { flavorLabel } from '../ui/format';
import { said } from '../ui/said';

const CATEGORIES: Category[] = ['CPU', 'GPU', 'ASCEND'];

export interface IFlavorMenuProps {
  model: InstanceModel;
  choose: (choice: IFlavorChoice) => Promise<void>;
}

/** The flavors in groups, the current one ticked, sold-out ones grey, each with what choosing it does. */
export function FlavorMenu({ model, choose }: IFlavorMenuProps): JSX.Element {
  const trans = useTrans();
  useModel(model);
  const [error, setError] = React.useState<unknown>(null);
  const load = React.useCallback(() => {
    setError(null);
    model.loadChoices().catch(setError);
  }, [model]);
  React.useEffect(load, [load]);
  const pick = (choice: IFlavorChoice) => {
    setError(null);
    choose(choice).catch(setError);
  };
  const { choices } = model;
  return (
    <>
      <h2>{trans.__('Flavor of this instance')}</h2>
      {error !== null && <ErrorBox error={error} retry={load} />}
      {!choices && error === null && <Waiting>{trans.__('Looking at what is free…')}</Waiting>}
      {choices && (
        <div role="menu" aria-label={trans.__('Flavors')} onKeyDown={moveFocus}>
          {CATEGORIES.map(category => (
            <Group
              key={category}
              name={category === 'ASCEND' ? 'NPU' : category}
              choices={choices.filter(({ flavor }) => flavor.category === category)}
              target={model.instance?.target_flavor ?? null}
              pick={pick}
            />
          ))}
        </div>
      )}
    </>
  );
}

interface IGroupProps {
  name: string;
  choices: IFlavorChoice[];
  target: string | null;
  pick: (choice: IFlavorChoice) => void;
}

function Group({ name, choices, target, pick }: IGroupProps): JSX.Element | null {
  if (choices.length === 0) {
    return null;
  }
  return (
    <div role="group" aria-label={name}>
      <div className="mlp-choice-group" role="presentation">
        {name}
      </div>
      {choices.map(choice => (
        <Choice key={choice.flavor.id} choice={choice} target={target} pick={pick} />
      ))}
    </div>
  );
}

interface IChoiceProps {
  choice: IFlavorChoice;
  target: string | null;
  pick: (choice: IFlavorChoice) => void;
}

function Choice({ choice, target, pick }: IChoiceProps): JSX.Element {
  const trans = useTrans();
  const { flavor, effect } = choice;
  const current = effect === 'current';
  const disabled = target !== null || (flavor.sold_out && !current);
  const note =
    target === flavor.id
      ? trans.__('Switching…')
      : current
        ? trans.__('In use now')
        : flavor.sold_out
          ? flavor.reason
            ? trans.__('Not free: %1', said(trans, flavor.reason))
            : trans.__('Not free')
          : said(trans, choice.note);
  return (
    <button
      type="button"
      role="menuitemradio"
      aria-checked={current}
      aria-disabled={disabled}
      className="mlp-choice"
      data-effect={target === flavor.id ? 'switching' : effect}
      onClick={() => !disabled && !current && pick(choice)}
    >
      <span className="mlp-choice-tick">
        {current && <checkIcon.react tag="span" width="14px" />}
        {target === flavor.id && <span className="mlp-spinner" aria-hidden="true" />}
      </span>
      <span className="mlp-choice-words">
        <span title={flavor.name}>{flavorLabel(flavor)}</span>
        <span className="mlp-faint">{note}</span>
      </span>
    </button>
  );
}

function moveFocus(event: React.KeyboardEvent<HTMLElement>): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step !== 0) {
    event.preventDefault();
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>('[role=menuitemradio]')];
    const next = items.indexOf(document.activeElement as HTMLElement) + step;
    items[(next + items.length) % items.length]?.focus();
  }
}
