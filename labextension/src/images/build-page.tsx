import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import type { IImage } from '../api/models';
import { LogPane } from '../logs/pane';
import { CommandIDs, type IPlatform } from '../tokens';
import { useLoaded, useModel, usePlatform, useTrans } from '../ui/context';
import { EmptyState, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { useInSight, ViewWidget } from '../ui/panel';
import { imageState } from '../ui/states';
import { Ago, Name, StateLabel } from '../ui/text';
import { isBeingMade, type ImagesModel } from './model';
import { CancelImage } from './progress';

/** The page of one build, in the main area: what it makes, how it is, and its log. */
export class BuildPage extends ViewWidget {
  constructor(
    platform: IPlatform,
    readonly imageId: string,
    images: ImagesModel,
    commands: CommandRegistry
  ) {
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
  const { image, isGone } = useImage(id, images);
  const close = () => widget.parent?.close();
  if (isGone) {
    return (
      <EmptyState action={trans.__('Close')} onAction={close}>
        {trans.__('This image is not there any more: its build was given up, or it was deleted.')}
      </EmptyState>
    );
  }
  if (!image) {
    return <Waiting>{trans.__('Reading the image…')}</Waiting>;
  }
  const source = {
    follow: (offset: number, abort: AbortSignal) => client.followBuild(id, offset, abort),
    isOver: () => images.images !== null && !images.underWay.some(one => one.id === id)
  };
  const download = { href: client.imageLogLink(id), name: `${image.name}-${image.tag}.log` };
  return (
    <>
      <Header image={image} images={images} commands={commands} />
      <LogPane source={source} isOver={!isBeingMade(image)} inSight={inSight} download={download} />
    </>
  );
}

/** The image of that id, as it is now. */
function useImage(id: string, images: ImagesModel): { image?: IImage; isGone: boolean } {
  const { client } = usePlatform();
  useModel(images);
  const listed = images.byId(id);
  // the list is long: an old image may not be on it
  const { value, error } = useLoaded(
    () => (listed ? Promise.resolve(listed) : client.image(id)),
    [listed === undefined]
  );
  return { image: listed ?? value, isGone: listed === undefined && error !== undefined };
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
  const { trans } = platform;
  if (isBeingMade(image)) {
    return <CancelImage images={images} image={image} className="mlp-button" />;
  }
  if (image.status !== 'ACTIVE') {
    return <></>;
  }
  return (
    <>
      <button
        type="button"
        className="mlp-button"
        onClick={() => void commands.execute(CommandIDs.submitJob, { image_id: image.id })}
      >
        {trans.__('Use it in a job')}
      </button>
      <button
        type="button"
        className="mlp-button mlp-mod-primary"
        onClick={() => void platform.openConsole(`instances/new?image=${image.id}`)}
      >
        {trans.__('Start an instance')}
      </button>
    </>
  );
}
