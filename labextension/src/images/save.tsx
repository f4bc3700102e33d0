import * as React from 'react';
import type { IImage, IImageSave, ISavePreview } from '../api/models';
import type { InstanceModel } from '../instances/model';
import type { IPlatform } from '../tokens';
import { ask, type FormDialog } from '../ui/dialog';
import { useTrans } from '../ui/context';
import { isNamed, NameFields } from './fields';
import type { ImagesModel } from './model';
import { SavePreview } from './preview';
import { suggestName, suggestTag } from './names';

/** Ask for a name and a tag and begin to save the environment; null if the dialog was left. */
export async function saveImage(
  platform: IPlatform,
  instance: InstanceModel,
  images: ImagesModel,
  given: Partial<IImageSave>
): Promise<IImage | null> {
  const { trans } = platform;
  await instance.refresh();
  const save: IImageSave = {
    name: given.name ?? suggestName(instance.instance?.image_name ?? ''),
    tag: given.tag ?? suggestTag(new Date()),
    description: given.description ?? '',
    notebook: given.notebook,
    exclude: given.exclude ?? []
  };
  const load = async (exclude: string[]) => platform.client.previewImage(await instance.id(), exclude);
  return ask(platform, {
    title: trans.__('Save the environment as an image'),
    verb: trans.__('Save image'),
    focus: 'input',
    className: 'mlp-save-dialog',
    body: dialog => <SaveForm save={save} images={images} dialog={dialog} load={load} />,
    accept: async say => {
      say(trans.__('Asking the platform…'));
      return images.save(await instance.id(), save);
    }
  });
}

interface ISaveFormProps {
  save: IImageSave;
  images: ImagesModel;
  dialog: FormDialog<IImage>;
  load: (exclude: string[]) => Promise<ISavePreview>;
}

function SaveForm({ save, images, dialog, load }: ISaveFormProps): JSX.Element {
  const trans = useTrans();
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  const ready = isNamed(save, images);
  React.useEffect(() => {
    dialog.canAccept = ready;
  }, [dialog, ready]);
  const set = (change: Partial<IImageSave>) => {
    Object.assign(save, change);
    render();
  };
  return (
    <>
      <NameFields image={save} images={images} set={set} />
      <SavePreview load={load} exclude={save.exclude ?? []} onExclude={exclude => set({ exclude })} />
      <p className="mlp-note">
        {trans.__('Your kernels keep running; what is in their memory is not saved. You can go on working meanwhile.')}
      </p>
    </>
  );
}
