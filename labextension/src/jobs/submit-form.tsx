import * as React from 'react';
import type { IFlavorOffer, IImage, ISubmitPreview } from '../api/models';
import { ImageMarks, marksInShort } from '../images/marks';
import { useTrans } from '../ui/context';
import { ChoiceField, TextField } from '../ui/fields';
import { flavorLabel } from '../ui/format';
import { said } from '../ui/said';
import { Problems, Sent } from '../ui/sent';
import { invalidFields, type IDraft } from './draft';
import { ChannelRows, LogsField, VariableRows } from './submit-more';
import { ParameterFields } from './submit-parameters';
import type { ISubmitChoices } from './submit';

export interface IEditProps {
  draft: IDraft;
  preview: ISubmitPreview;
  invalid: Set<string>;
  /** Take over a change of the draft. */
  set: (change: Partial<IDraft>) => void;
}

/** The form of a job: one screen, everything with a default. */
export function SubmitForm(props: { choices: ISubmitChoices; onChange: () => void }): JSX.Element {
  const { preview, images, flavors, draft } = props.choices;
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  const set = (change: Partial<IDraft>) => {
    Object.assign(draft, change);
    render();
    props.onChange();
  };
  const edit: IEditProps = { draft, preview, invalid: invalidFields(draft, preview), set };
  return (
    <>
      <Sent sent={preview} />
      <Problems problems={preview.problems} />
      <NameField {...edit} />
      <div className="mlp-fields-row">
        <ImageField {...edit} images={images} />
        <FlavorField {...edit} flavors={flavors} />
      </div>
      <ParameterFields {...edit} />
      <More {...edit} />
    </>
  );
}

function NameField({ draft, invalid, set }: IEditProps): JSX.Element {
  const trans = useTrans();
  return (
    <TextField
      label={trans.__('Name')}
      value={draft.name}
      change={name => set({ name })}
      wrong={invalid.has('name') && trans.__('Use 1 to 64 letters, digits, - and _, a letter or digit first.')}
    />
  );
}

function ImageField({ draft, set, images }: IEditProps & { images: IImage[] }): JSX.Element {
  const trans = useTrans();
  return (
    <div className="mlp-grow">
      <ChoiceField label={trans.__('Image')} value={draft.imageId} change={imageId => set({ imageId })}>
        {images.length === 0 && <option value="">{trans.__('The default image')}</option>}
        {images.map(image => (
          <option key={image.id} value={image.id}>
            {[`${image.name}:${image.tag}`, ...marksInShort(image, trans)].join(' · ')}
          </option>
        ))}
      </ChoiceField>
      <ImageMarks image={images.find(image => image.id === draft.imageId)} />
    </div>
  );
}

function FlavorField({ draft, set, flavors }: IEditProps & { flavors: IFlavorOffer[] }): JSX.Element {
  const trans = useTrans();
  return (
    <ChoiceField
      label={trans.__('Flavor')}
      className="mlp-grow"
      value={draft.flavor}
      change={flavor => set({ flavor })}
    >
      {flavors.map(flavor => (
        <option
          key={flavor.id}
          value={flavor.id}
          disabled={flavor.sold_out}
          title={flavor.reason ? said(trans, flavor.reason) : undefined}
        >
          {flavorLabel(flavor)}
          {flavor.sold_out ? ` – ${flavor.reason ? said(trans, flavor.reason) : trans.__('not free')}` : ''}
        </option>
      ))}
    </ChoiceField>
  );
}

function More(props: IEditProps): JSX.Element {
  const trans = useTrans();
  const { draft, invalid, set } = props;
  return (
    <details className="mlp-fold">
      <summary>{trans.__('More: data, environment variables, retries')}</summary>
      <div className="mlp-fold-body">
        <ChannelRows
          {...props}
          kind="inputs"
          title={trans.__('Inputs')}
          hint={trans.__('copied into the job before it starts')}
        />
        <ChannelRows
          {...props}
          kind="outputs"
          title={trans.__('Outputs')}
          hint={trans.__('sent to the storage while the job runs, and at its end')}
        />
        <LogsField {...props} />
        <VariableRows {...props} />
        <div className="mlp-fields-row">
          <TextField
            label={trans.__('Description')}
            className="mlp-grow"
            value={draft.description}
            change={description => set({ description })}
            input={{ maxLength: 512, spellCheck: true }}
          />
          <TextField
            label={trans.__('Retries')}
            className="mlp-mod-short"
            value={draft.retries}
            change={retries => set({ retries })}
            input={{ inputMode: 'numeric', 'aria-invalid': invalid.has('retries') }}
          />
        </div>
      </div>
    </details>
  );
}
