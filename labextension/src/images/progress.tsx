import { Notification } from '@jupyterlab/apputils';
import * as React from 'react';
import type { IImage } from '../api/models';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { ProgressBar } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { Name } from '../ui/text';
import type { ImagesModel } from './model';

function words(image: IImage): string {
  const { progress } = image;
  if (!progress || progress.total === 0) {
    return '';
  }
  const speed = progress.speed > 0 ? ` · ${formatBytes(progress.speed)}/s` : '';
  return `${formatBytes(progress.done)} / ${formatBytes(progress.total)}${speed}`;
}

/** Instance panel: the saves that are under way, with their bytes. */
export function SavesInProgress({ images }: { images: ImagesModel }): JSX.Element {
  const trans = useTrans();
  useModel(images);
  return (
    <>
      {images.saving.map(image => (
        <div key={image.id} className="mlp-task">
          <div className="mlp-row">
            <span className="mlp-grow mlp-shrink">
              <Name>{`${image.name}:${image.tag}`}</Name>
            </span>
            <span className="mlp-number">{words(image)}</span>
          </div>
          <ProgressBar
            done={image.progress?.done ?? 0}
            total={image.progress?.total ?? 0}
            label={trans.__('Saving %1', `${image.name}:${image.tag}`)}
          />
          <div className="mlp-row">
            <span className="mlp-faint mlp-grow mlp-shrink">
              {image.progress?.message || trans.__('Looking for what has changed…')}
            </span>
            <CancelSave images={images} image={image} />
          </div>
        </div>
      ))}
    </>
  );
}

function CancelSave({ images, image }: { images: ImagesModel; image: IImage }): JSX.Element {
  const { trans } = usePlatform();
  const [asked, setAsked] = React.useState(false);
  const cancel = () => {
    setAsked(true);
    images.cancel(image).catch((error: unknown) => {
      setAsked(false);
      Notification.error(error instanceof Error ? error.message : String(error));
    });
  };
  return (
    <button type="button" className="mlp-link" disabled={asked} onClick={cancel}>
      {asked ? trans.__('Cancelling…') : trans.__('Cancel the save')}
    </button>
  );
}

/** Status bar: one line while an image is being saved. */
export function SaveStatus({ images, open }: { images: ImagesModel; open: () => void }): JSX.Element {
  const trans = useTrans();
  useModel(images);
  const image = images.saving[0];
  if (!image) {
    return <></>;
  }
  return (
    <button type="button" className="mlp-status" onClick={open} title={image.progress?.message}>
      <span className="mlp-spinner" aria-hidden="true" />
      {trans.__('Saving %1', `${image.name}:${image.tag}`)} {words(image)}
    </button>
  );
}
