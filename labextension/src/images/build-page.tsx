import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import type { IImage } from '../api/models';
import { ApiError } from '../api/transport';
import { LogPane } from '../logs/pane';
import type { IPlatform } from '../tokens';
import { useLoaded, useModel, usePlatform, useTrans } from '../ui/context';
import { EmptyState, ErrorBox, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { useInSight, ViewWidget } from '../ui/panel';
import { imageState } from '../ui/states';
import { Ago, Name, StateLabel } from '../ui/text';
import { isBeingMade, type ImagesModel } from './model';
import { CancelImage } from './progress';
import { usesOf } from './uses';

/** The page of one build, in the main area: what it makes, how it is, and its log. */
export class BuildPage extends ViewWidget {
  constructor(platform: IPlatform, imageId: string, images: ImagesModel, commands: CommandRegistry) {
    super(platform, widget => <Build id={imageId} images={images} commands={commands} widget={widget} />);
    this.addClass('mlp-build-page');
  }
}

interface IBuildProps {
  id: string;
  images: ImagesModel;
  commands: CommandRegistry;
  widget: ViewWidget;
}

function Build({ id, images, commands, widget }: IBuildProps): JSX.Element {
  const { client, trans } = usePlatform();
  const inSight = useInSight(widget);
  const { image, error, reload } = useImage(id, images);
  if (!image && error instanceof ApiError && error.status === 404) {
    return (
      <EmptyState action={trans.__('Close')} onAction={() => widget.parent?.close()}>
        {trans.__('This image is not there any more: its build was given up, or it was deleted.')}
      </EmptyState>
    );
  }
  if (!image) {
    return error ? <ErrorBox error={error} retry={reload} /> : <Waiting>{trans.__('Reading the image…')}</Waiting>;
  }
  const source = {
    follow: (offset: number, abort: AbortSignal) => client.followBuild(id, offset, abort),
    // as it was when the page came up, where the list does not have it
    isOver: () => !isBeingMade(images.byId(id) ?? image)
  };
  const download = { href: client.imageLogLink(id), name: `${image.name}-${image.tag}.log` };
  return (
    <>
      <Header image={image} images={images} commands={commands} />
      <LogPane source={source} isOver={!isBeingMade(image)} inSight={inSight} download={download} />
    </>
  );
}

interface IFound {
  image?: IImage;
  error?: unknown;
  reload: () => void;
}

/** The image of that id, as it is now. The list is long: an old image may not be on it, and is asked for. */
function useImage(id: string, images: ImagesModel): IFound {
  const { client } = usePlatform();
  const [tries, reload] = React.useReducer((count: number) => count + 1, 0);
  useModel(images);
  const listed = images.byId(id);
  const isListed = listed !== undefined;
  const asked = useLoaded(async () => (isListed ? undefined : client.image(id)), [id, isListed, tries]);
  return { image: listed ?? asked.value, error: asked.error, reload };
}

function Header({ image, images, commands }: Omit<IBuildProps, 'id' | 'widget'> & { image: IImage }): JSX.Element {
  const trans = useTrans();
  const state = imageState(trans, image);
  const words = isBeingMade(image) ? image.progress?.message : image.status_message;
  return (
    <header className="mlp-page-header">
      <div className="mlp-row">
        <h2 className="mlp-shrink">
          <Name>{`${image.name}:${image.tag}`}</Name>
        </h2>
        <StateLabel state={state} />
        <span className="mlp-grow" />
        <Next image={image} images={images} commands={commands} />
      </div>
      <div className="mlp-page-facts">
        {image.status === 'ACTIVE' && (
          <span>{trans.__('%1, of which %2 are its own', formatBytes(image.size), formatBytes(image.added))}</span>
        )}
        <span className="mlp-faint">
          {trans.__('asked for')} <Ago moment={image.created_at} />
        </span>
        {words && (
          <span className="mlp-page-why mlp-ellipsis" data-tone={state.tone} title={words}>
            {words}
          </span>
        )}
      </div>
    </header>
  );
}

/** What can be done next. */
function Next({ image, images, commands }: Omit<IBuildProps, 'id' | 'widget'> & { image: IImage }): JSX.Element {
  const platform = usePlatform();
  if (isBeingMade(image)) {
    return <CancelImage images={images} image={image} className="mlp-button" />;
  }
  return (
    <>
      {usesOf(image, platform, commands).map(({ label, callback }, index) => (
        <button
          key={label}
          type="button"
          className={index === 0 ? 'mlp-button mlp-mod-primary' : 'mlp-button'}
          onClick={callback}
        >
          {label}
        </button>
      ))}
    </>
  );
}
