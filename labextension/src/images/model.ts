import { Signal } from '@lumino/signaling';
import { concerns } from '../api/nouns';
import type { IImage, IImageBuild, IImageSave } from '../api/models';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';

/** Whether an image is still being saved, copied or built. */
export function isBeingMade(image: IImage): boolean {
  return image.status === 'INIT' || image.status === 'CREATING';
}

/** The images that the user may use. `ended` tells of a save or a build of this instance that has ended, well or not. */
export class ImagesModel {
  constructor(private readonly platform: IPlatform) {
    const { events } = platform;
    events.changed.connect((_, event) => concerns(event, 'image') && void this.refresh());
    events.touched.connect((_, touch) => concerns(touch, 'image') && void this.refresh());
    events.connected.connect((_, connected) => connected && void this.refresh());
    platform.identity.then(
      () => this.refresh(),
      () => undefined
    );
  }

  readonly changed = new Signal<this, void>(this);
  readonly ended = new Signal<this, IImage>(this);

  images: IImage[] | null = null;
  error: unknown = null;

  /** Saves and builds of this instance that are under way. */
  get underWay(): IImage[] {
    return (this.images ?? []).filter(image => isBeingMade(image) && image.instance_id === this._instanceId);
  }

  /** The image of that id, where it is known. */
  byId(id: string): IImage | undefined {
    return (this.images ?? []).find(image => image.id === id);
  }

  /** What a job can run on. */
  get forJobs(): IImage[] {
    return (this.images ?? []).filter(image => image.status === 'ACTIVE' && image.services.includes('TRAIN'));
  }

  /** Whether the user, or the platform, has an image of that name and tag: each is given once. */
  isTaken(name: string, tag: string): boolean {
    return (this.images ?? []).some(
      image =>
        image.name === name &&
        image.tag === tag &&
        (image.origin === 'PRESET' || image.owner === this._user) &&
        image.status !== 'DELETED' &&
        image.status !== 'CREATE_FAILED'
    );
  }

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  /** Begin a save; it goes on by itself. */
  async save(instanceId: string, save: IImageSave): Promise<IImage> {
    return this._begun(await this.platform.client.saveImage(instanceId, save));
  }

  /** Have an image built from a Containerfile of the work folder; that goes on by itself. */
  async build(build: IImageBuild): Promise<IImage> {
    return this._begun(await this.platform.client.buildImage(build));
  }

  /** Give up a save or a build; nothing of it stays. */
  async cancel(image: IImage): Promise<void> {
    await this.platform.client.cancelImage(image.id);
    void this.refresh();
  }

  private _begun(image: IImage): IImage {
    this._under.add(image.id);
    void this.refresh();
    return image;
  }

  private async _load(): Promise<void> {
    try {
      ({ instance_id: this._instanceId, user: this._user } = await this.platform.identity);
      this.images = await this.platform.client.images();
      this.error = null;
      this._noticeEnds(this.images);
    } catch (error) {
      this.error = error;
    }
    this.changed.emit();
  }

  private _noticeEnds(images: IImage[]): void {
    const ended = images.filter(image => this._under.has(image.id) && !isBeingMade(image));
    this._under = new Set(this.underWay.map(image => image.id));
    ended.forEach(image => this.ended.emit(image));
  }

  private _refresher = new Refresher(() => this._load(), 1000);
  private _instanceId: string | null = null;
  private _user = '';
  private _under = new Set<string>();
}
