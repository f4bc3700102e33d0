import * as React from 'react';
import { useTrans } from '../ui/context';
import { TextField } from '../ui/fields';
import type { ImagesModel } from './model';
import { isImageName, isImageTag } from './names';

/** What an image that is to be made is called. */
export interface INamed {
  name: string;
  tag: string;
  description: string;
}

/** Whether an image can be called so. */
export function isNamed(image: INamed, images: ImagesModel): boolean {
  return isImageName(image.name) && isImageTag(image.tag) && !images.isTaken(image.name, image.tag);
}

interface INameFieldsProps {
  image: INamed;
  images: ImagesModel;
  set: (change: Partial<INamed>) => void;
}

/** The fields for a name, a tag and a description, with what is wrong with them. */
export function NameFields({ image, images, set }: INameFieldsProps): JSX.Element {
  const trans = useTrans();
  const wrongName = isImageName(image.name)
    ? images.isTaken(image.name, image.tag) &&
      trans.__('There is an image %1 already. Choose another name or tag.', `${image.name}:${image.tag}`)
    : trans.__('A name has small letters, digits, and single . _ - between them.');
  return (
    <>
      <div className="mlp-fields-row">
        <TextField
          label={trans.__('Name')}
          className="mlp-grow"
          value={image.name}
          change={name => set({ name })}
          wrong={wrongName}
        />
        <TextField
          label={trans.__('Tag')}
          value={image.tag}
          change={tag => set({ tag })}
          wrong={!isImageTag(image.tag) && trans.__('A tag has letters, digits, and . _ - after the first.')}
        />
      </div>
      <TextField
        label={trans.__('Description (optional)')}
        value={image.description}
        change={description => set({ description })}
        input={{ maxLength: 512, spellCheck: true }}
      />
    </>
  );
}
