import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
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

/** What is being done to an image, in words. */
function doing(image: IImage, trans: TranslationBundle): string {
  const name = `${image.name}:${image.tag}`;
  return image.built ? trans.__('Building %1', name) : trans.__('Saving %1', name);
}

interface IImagesUnderWayProps {
  images: ImagesModel;
  showLog: (image: IImage) => void;
}

/** Instance panel: the saves and builds that are under way, with their bytes. */
export function ImagesUnderWay({ images, showLog }: IImagesUnderWayProps): JSX.Element {
  useModel(images);
  return (
    <>
      {images.underWay.map(image => (
        <Task key={image.id} image={image} images={images} showLog={showLog} />
      ))}
    </>
  );
}

function Task({ image, images, showLog }: IImagesUnderWayProps & { image: IImage }): JSX.Element {
  const trans = useTrans();
  const first = image.built ? trans.__('Waiting for the builder…') : trans.__('Looking for what has changed…');
  return (
    <div className="mlp-task">
      <div className="mlp-row">
        <span className="mlp-grow mlp-shrink">
          <Name>{`${image.name}:${image.tag}`}</Name>
        </span>
        <span className="mlp-number">{words(image)}</span>
      </div>
      <ProgressBar done={image.progress?.done ?? 0} total={image.progress?.total ?? 0} label={doing(image, trans)} />
      <div className="mlp-row">
        <span className="mlp-faint mlp-grow mlp-shrink">{image.progress?.message || first}</span>
        {image.built && (
          <button type="button" className="mlp-link" onClick={() => showLog(image)}>
            {trans.__('Show the log')}
          </button>
        )}
        <CancelImage images={images} image={image} className="mlp-link" />
      </div>
    </div>
  );
}

/** Gives up a save or a build. */
export function CancelImage(props: { images: ImagesModel; image: IImage; className: string }): JSX.Element {
  const { images, image, className } = props;
  const { trans } = usePlatform();
  const [asked, setAsked] = React.useState(false);
  const cancel = () => {
    setAsked(true);
    images.cancel(image).catch((error: unknown) => {
      setAsked(false);
      Notification.error(error instanceof Error ? error.message : String(error));
    });
  };
  const verb = image.built ? trans.__('Cancel the build') : trans.__('Cancel the save');
  return (
    <button type="button" className={className} disabled={asked} onClick={cancel}>
      {asked ? trans.__('Cancelling…') : verb}
    </button>
  );
}

/** Status bar: one line while an image is being saved or built. */
export function ImageStatus({ images, open }: { images: ImagesModel; open: () => void }): JSX.Element {
  const trans = useTrans();
  useModel(images);
  const image = images.underWay[0];
  if (!image) {
    return <></>;
  }
  return (
    <button type="button" className="mlp-status" onClick={open} title={image.progress?.message}>
      <span className="mlp-spinner" aria-hidden="true" />
      {doing(image, trans)} {words(image)}
    </button>
  );
}
