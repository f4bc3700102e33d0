import * as React from 'react';
import { useTrans } from '../ui/context';
import { isImageName, isImageTag } from './names';

/** What an image that is to be made is called. */
export interface INamed {
  name: string;
  tag: string;
  description: string;
}

/** The fields for a name, a tag and a description, with what is wrong with them. */
export function NameFields(props: { image: INamed; set: (change: Partial<INamed>) => void }): JSX.Element {
  const trans = useTrans();
  const { image, set } = props;
  return (
    <>
      <div className="mlp-fields-row">
        <label className="mlp-field mlp-grow">
          <span>{trans.__('Name')}</span>
          <input className="jp-mod-styled" value={image.name} onChange={event => set({ name: event.target.value })} />
        </label>
        <label className="mlp-field">
          <span>{trans.__('Tag')}</span>
          <input className="jp-mod-styled" value={image.tag} onChange={event => set({ tag: event.target.value })} />
        </label>
      </div>
      {!isImageName(image.name) && (
        <p className="mlp-invalid">{trans.__('A name has small letters, digits, and single . _ - between them.')}</p>
      )}
      {!isImageTag(image.tag) && (
        <p className="mlp-invalid">{trans.__('A tag has letters, digits, and . _ - after the first.')}</p>
      )}
      <label className="mlp-field">
        <span>{trans.__('Description (optional)')}</span>
        <input
          className="jp-mod-styled"
          maxLength={512}
          value={image.description}
          onChange={event => set({ description: event.target.value })}
        />
      </label>
    </>
  );
}
