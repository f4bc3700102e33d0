import { Notification } from '@jupyterlab/apputils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import type { IFlavorOffer, IImage, IJob, ISubmitPreview } from '../api/models';
import type { ImagesModel } from '../images/model';
import { saveDocument } from '../instances/documents';
import type { InstanceModel } from '../instances/model';
import { CommandIDs, type IPlatform } from '../tokens';
import { ask, type FormDialog } from '../ui/dialog';
import { useLoaded, useTrans } from '../ui/context';
import { ErrorBox, Waiting } from '../ui/feedback';
import { draftOf, invalidFields, submission, type IDraft } from './draft';
import { SubmitForm } from './submit-form';
import { jobTitle } from './words';

/** What the form needs before it can be filled in. */
export interface ISubmitChoices {
  preview: ISubmitPreview;
  images: IImage[];
  flavors: IFlavorOffer[];
  draft: IDraft;
}

export class JobSubmitter {
  constructor(
    private readonly platform: IPlatform,
    private readonly instance: InstanceModel,
    private readonly images: ImagesModel,
    private readonly documents: IDocumentManager,
    private readonly commands: CommandRegistry
  ) {}

  /** Ask how the notebook or script at `path` is to run, submit it, and say so. */
  async submit(path: string, imageId?: string): Promise<IJob | null> {
    await saveDocument(this.documents, path);
    const { trans } = this.platform;
    let choices: ISubmitChoices | null = null;
    const job = await ask<IJob>(this.platform, {
      title: trans.__('Submit %1 as a job', path.split('/').pop() ?? path),
      verb: trans.__('Submit'),
      className: 'mlp-submit-dialog',
      body: dialog => <Loading dialog={dialog} load={async () => (choices = await this._choices(path, imageId))} />,
      accept: async say => {
        say(trans.__('Packing and sending %1…', trans._n('one file', '%1 files', choices!.preview.files.length)));
        return this.platform.client.submit(submission(choices!.draft, choices!.preview));
      }
    });
    if (job) {
      this._announce(job);
    }
    return job;
  }

  private async _choices(path: string, imageId?: string): Promise<ISubmitChoices> {
    const { client } = this.platform;
    const [preview, flavors] = await Promise.all([
      client.submitPreview(path),
      client.flavors(),
      this.images.images ? null : this.images.refresh(),
      this.instance.instance ? null : this.instance.refresh()
    ]);
    const { instance } = this.instance;
    const images = this.images.forJobs;
    const image = images.find(({ id }) => id === (imageId ?? instance?.image_id)) ?? images[0];
    const flavor = flavors.find(({ id, sold_out }) => id === instance?.flavor && !sold_out);
    const free = flavor ?? flavors.find(({ sold_out }) => !sold_out);
    return { preview, flavors, images, draft: draftOf(path, preview, image?.id ?? '', free?.id ?? '') };
  }

  private _announce(job: IJob): void {
    const { trans } = this.platform;
    Notification.success(trans.__('Job %1 submitted', jobTitle(job)), {
      autoClose: 10_000,
      actions: [
        {
          label: trans.__('Open'),
          callback: () => void this.commands.execute(CommandIDs.openJob, { id: job.id })
        }
      ]
    });
  }
}

interface ILoadingProps {
  dialog: FormDialog<IJob>;
  load: () => Promise<ISubmitChoices>;
}

function Loading({ dialog, load }: ILoadingProps): JSX.Element {
  const trans = useTrans();
  const { value, error } = useLoaded(load, []);
  React.useEffect(() => {
    dialog.canAccept = Boolean(value && canSubmit(value));
    if (value) {
      dialog.focusAccept();
    }
  }, [dialog, value]);
  if (error) {
    return <ErrorBox error={error} />;
  }
  if (!value) {
    return <Waiting>{trans.__('Looking at the files of this folder…')}</Waiting>;
  }
  return <SubmitForm choices={value} onChange={() => (dialog.canAccept = canSubmit(value))} />;
}

function canSubmit({ preview, draft }: ISubmitChoices): boolean {
  return preview.problems.length === 0 && invalidFields(draft, preview).size === 0;
}
