import { caretDownIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { InstanceModel } from '../instances/model';
import { useLoaded, useModel, usePlatform } from '../ui/context';
import { flavorLabel } from '../ui/format';
import { instanceState, type Tone } from '../ui/states';

/** Top bar: what this instance computes with, as a button that opens the choice of flavors. */
export function FlavorIndicator(props: { model: InstanceModel; onOpen: (anchor: HTMLElement) => void }): JSX.Element {
  const { model, onOpen } = props;
  const platform = usePlatform();
  const { trans } = platform;
  useModel(model);
  const { value: identity } = useLoaded(() => platform.identity, []);
  const { value: catalogue } = useLoaded(() => platform.flavors(), [model.instance !== null]);
  const named = (id: string) => {
    const flavor = catalogue?.find(offer => offer.id === id);
    return flavor ? flavorLabel(flavor) : id;
  };
  const { instance } = model;
  if (!instance && !identity?.runtime?.flavor) {
    return <></>;
  }
  const offline = !instance || !platform.events.isConnected;
  const label = instance ? named(instance.flavor) : flavorLabel(identity!.runtime!.flavor!);
  const state = instance ? instanceState(trans, instance) : { tone: 'idle' as Tone, word: '' };
  const words = instance?.target_flavor ? trans.__('Switching to %1…', named(instance.target_flavor)) : label;
  const tone = instance?.target_flavor ? 'busy' : offline ? 'idle' : state.tone;
  const title = offline
    ? trans.__('The platform cannot be reached just now; your kernels keep running. Trying again…')
    : trans.__('%1. Change the flavor of this instance', state.word);
  return (
    <button
      type="button"
      className="mlp-indicator mlp-state"
      data-tone={tone}
      title={title}
      aria-haspopup="menu"
      onClick={event => onOpen(event.currentTarget)}
    >
      <span className="mlp-dot" aria-hidden="true" />
      <span>{words}</span>
      <caretDownIcon.react tag="span" width="14px" />
    </button>
  );
}
