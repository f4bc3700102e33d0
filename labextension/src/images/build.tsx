import * as React from 'react';
import type { IBuildPreview, IImage, IImageBuild } from '../api/models';
import type { IPlatform } from '../tokens';
import { useLoaded, useTrans } from '../ui/context';
import { ask, type FormDialog } from '../ui/dialog';
import { ErrorBox, Waiting } from '../ui/feedback';
import { Problems, Sent } from '../ui/sent';
import { isNamed, NameFields } from './fields';
import type { ImagesModel } from './model';
import { suggestTag } from './names';

const CONTAINERFILE = /^(.*\.)?(containerfile|dockerfile)([._-].*)?$/i;
const NONE = /\.(dockerignore|containerignore|gz|tgz|xz|zst|zip|tar|log|md)$/i;

/** Whether a file is one to build an image from, by its name. */
export function isContainerfile(path: string): boolean {
  const name = path.split('/').pop() ?? '';
  return CONTAINERFILE.test(name) && !NONE.test(name);
}

/** Ask what to call the image of the Containerfile at `path` in the work folder, and have it built; null if the dialog was left. */
export async function buildImage(platform: IPlatform, images: ImagesModel, path: string): Promise<IImage | null> {
  const { client, trans } = platform;
  const build: IImageBuild = { path, name: '', tag: suggestTag(new Date()), description: '' };
  const load = async () => {
    const preview = await client.buildPreview(path);
    build.name = preview.name;
    return preview;
  };
  return ask<IImage>(platform, {
    title: trans.__('Build an image from %1', path.split('/').pop() ?? path),
    verb: trans.__('Build'),
    body: dialog => <BuildForm build={build} images={images} dialog={dialog} load={load} />,
    accept: async say => {
      say(trans.__('Packing and sending the folder…'));
      return images.build(build);
    }
  });
}

interface IBuildFormProps {
  build: IImageBuild;
  images: ImagesModel;
  dialog: FormDialog<IImage>;
  load: () => Promise<IBuildPreview>;
}

function BuildForm({ build, images, dialog, load }: IBuildFormProps): JSX.Element {
  const trans = useTrans();
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  const { value: preview, error } = useLoaded(load, []);
  const ready = preview?.problems.length === 0 && isNamed(build, images);
  React.useEffect(() => {
    dialog.canAccept = ready;
  }, [dialog, ready]);
  React.useEffect(() => {
    if (preview) {
      dialog.focusAccept();
    }
  }, [dialog, preview]);
  if (error) {
    return <ErrorBox error={error} />;
  }
  if (!preview) {
    return <Waiting>{trans.__('Looking at the files of this folder…')}</Waiting>;
  }
  const set = (change: Partial<IImageBuild>) => {
    Object.assign(build, change);
    render();
  };
  return (
    <>
      <Sent sent={preview} />
      <Problems problems={preview.problems} />
      <NameFields image={build} images={images} set={set} />
      <p className="mlp-note">
        {preview.stands_on.length > 0
          ? trans.__(
              'It stands on %1. It is built away from this instance: you can go on working meanwhile.',
              preview.stands_on.join(', ')
            )
          : trans.__('It is built away from this instance: you can go on working meanwhile.')}
      </p>
    </>
  );
}
