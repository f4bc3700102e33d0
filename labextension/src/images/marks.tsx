import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { IImage } from '../api/models';
import { useTrans } from '../ui/context';

/** What is to be known of an image before it is picked: that it ends one day, or that its base is another one now. */
export function marksOf(image: IImage, trans: TranslationBundle, now = new Date()): string[] {
  const marks: string[] = [];
  if (image.outdated && image.base_name) {
    marks.push(trans.__('%1, which it stands on, has been made anew since or is offered no more.', image.base_name));
  }
  if (image.retires_on) {
    const retired = image.retires_on <= now.toISOString().slice(0, 10);
    const ends = retired
      ? trans.__('Retired since %1.', image.retires_on)
      : trans.__('To be retired on %1.', image.retires_on);
    marks.push(image.instead ? `${ends} ${trans.__('Take %1 instead.', image.instead)}` : ends);
  }
  return marks;
}

/** The same where there is room for few words. */
export function marksInShort(image: IImage, trans: TranslationBundle): string[] {
  return [
    ...(image.outdated ? [trans.__('outdated base')] : []),
    ...(image.retires_on ? [trans.__('ends %1', image.retires_on)] : [])
  ];
}

/** The marks of an image as notes; nothing for one that is kept up. */
export function ImageMarks({ image }: { image: IImage | undefined }): JSX.Element | null {
  const trans = useTrans();
  const marks = image ? marksOf(image, trans) : [];
  return marks.length === 0 ? null : (
    <div className="mlp-marks" role="note">
      {marks.map(mark => (
        <p key={mark}>{mark}</p>
      ))}
    </div>
  );
}
