import { Signal } from '@lumino/signaling';
import type { IEndpoint, IObject } from '../api/models';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';
import { bucketOf } from './paths';

/** Where the storage panel is, and what is there. */
export class StorageModel {
  constructor(private readonly platform: IPlatform) {
    platform.events.connected.connect((_, connected) => {
      if (connected && this.error !== null) {
        void this.refresh();
      }
    });
  }

  readonly changed = new Signal<this, void>(this);

  /** BUCKET/PREFIX/, or empty for the list of buckets. */
  place = '';
  endpoints: IEndpoint[] | null = null;
  /** What lies at the place; null while that is read. */
  objects: IObject[] | null = null;
  error: unknown = null;

  get hasMore(): boolean {
    return this._next !== null;
  }

  open(place: string): Promise<void> {
    this.place = place;
    this.objects = null;
    this._next = null;
    this.error = null;
    this.changed.emit();
    return this.refresh();
  }

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  async loadMore(): Promise<void> {
    const { place } = this;
    const page = await this.platform.client.objects(place, this._next ?? undefined);
    if (place === this.place) {
      this.objects = [...(this.objects ?? []), ...page.objects];
      this._next = page.next;
      this.changed.emit();
    }
  }

  async createBucket(name: string): Promise<void> {
    await this.platform.client.createBucket(name);
    await this.open(`${name}/`);
  }

  /** How many objects there are below a place and how many bytes, counting at most some thousands. */
  async count(prefix: string): Promise<{ objects: number; bytes: number; more: boolean }> {
    let marker: string | undefined;
    let [objects, bytes] = [0, 0];
    for (let page = 0; page < 20; page++) {
      const listing = await this.platform.client.objects(prefix, marker, true);
      objects += listing.objects.length;
      bytes += listing.objects.reduce((sum, { size }) => sum + size, 0);
      if (listing.next === null) {
        return { objects, bytes, more: false };
      }
      marker = listing.next;
    }
    return { objects, bytes, more: true };
  }

  async remove(object: IObject): Promise<void> {
    const { client } = this.platform;
    await (object.is_prefix ? client.deleteObjects(object.key) : client.deleteObject(object.key));
    await this.refresh();
  }

  /** Remove a bucket with all that is in it. */
  async removeBucket(name: string, isEmpty: boolean): Promise<void> {
    if (!isEmpty) {
      await this.platform.client.deleteObjects(`${name}/`);
    }
    await this.platform.client.deleteBucket(name);
    await this.open('');
  }

  private async _load(): Promise<void> {
    const { place } = this;
    try {
      const { client } = this.platform;
      const [endpoints, page] = await Promise.all([client.endpoints(), place ? client.objects(place) : null]);
      if (place === this.place) {
        this.endpoints = endpoints;
        this.objects = page?.objects.filter(({ key }) => key !== place) ?? [];
        this._next = page?.next ?? null;
        this.error = null;
      }
    } catch (error) {
      this.error = place === this.place ? error : this.error;
    }
    this.changed.emit();
  }

  /** The bucket of the place, null in the list of buckets. */
  get bucket(): string | null {
    return bucketOf(this.place) || null;
  }

  private _next: string | null = null;
  private _refresher = new Refresher(() => this._load(), 0);
}
