import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';
import type { ITranslator, TranslationBundle } from '@jupyterlab/translation';
import type { Client } from './api/client';
import type { EventStream } from './api/events';
import type { IFlavorOffer, IIdentity } from './api/models';
import type { InstanceModel } from './instances/model';
import type { JobsModel } from './jobs/model';
import type { ImagesModel } from './images/model';

/** The platform behind this Lab: the one client and the one event stream that everything here shares. */
export interface IPlatform {
  readonly client: Client;
  readonly events: EventStream;
  readonly trans: TranslationBundle;
  /** For the dialogs of Lab itself. */
  readonly translator: ITranslator;
  /** The language of Lab as a BCP 47 tag, for dates and times. */
  readonly language: string;
  /** Who this server is. Rejects with an `ApiError` where it does not say, and asks anew the next time. */
  readonly identity: Promise<IIdentity>;
  /** The catalogue of flavors, read once a page. */
  flavors(): Promise<IFlavorOffer[]>;
  /** Go to a page of the console, in a new tab or in this one. */
  openConsole(path?: string, where?: 'tab' | 'here'): Promise<void>;
}

export const IPlatform = new Token<IPlatform>('jupyter-mlplat:IPlatform', 'The platform behind this Lab.');

/** The instance that this Lab runs on. */
export const IInstanceModel = new Token<InstanceModel>('jupyter-mlplat:IInstanceModel', 'The instance of this Lab.');

/** The user's jobs, newest first. */
export const IJobsModel = new Token<JobsModel>('jupyter-mlplat:IJobsModel', "The user's jobs.");

/** The images that the user may use, and those that are being made. */
export const IImagesModel = new Token<ImagesModel>('jupyter-mlplat:IImagesModel', "The user's images.");

/** Something that changes and says so. */
export interface IChanging {
  readonly changed: ISignal<unknown, void>;
}

/** The ids of all commands, `mlplat:FEATURE-VERB`. */
export const CommandIDs = {
  showInstance: 'mlplat:instance-show',
  stopInstance: 'mlplat:instance-stop',
  newInstance: 'mlplat:instance-new',
  openConsole: 'mlplat:console-open',
  addMount: 'mlplat:mount-add',
  switchFlavor: 'mlplat:flavor-switch',
  chooseFlavor: 'mlplat:flavor-choose',
  saveImage: 'mlplat:image-save',
  buildImage: 'mlplat:image-build',
  showBuild: 'mlplat:image-build-show',
  showJobs: 'mlplat:job-list',
  submitJob: 'mlplat:job-submit',
  openJob: 'mlplat:job-open',
  stopJob: 'mlplat:job-stop',
  rerunJob: 'mlplat:job-rerun',
  deleteJob: 'mlplat:job-delete',
  showStorage: 'mlplat:storage-show',
  uploadToStorage: 'mlplat:storage-upload',
  importFiles: 'mlplat:storage-import'
} as const;
