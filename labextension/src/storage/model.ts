import { Signal } from '@lumino/signaling';
import type { IEndpoint, IObject, IObjectCount } from '../api/objects';
import { Refresher } from '../api/refresher';
import type { IPlatform } from '../tokens';
import { bucketOf } from './paths';

/** The order of what is listed. Stores list by name; the others order what has been read so far. */
export type Order = 'name' | 'size' | 'time';

const COMPARE: Record<Order, (one: IObject, other: IObject) => number> = {
  name: () => 0,
  size: (one, other) => other.size - one.size,
  time: (one, other) => (other.modified_at ?? '').localeCompare(one.modified_at ?? '')
};

/** Whether an endpoint serves whatever buckets it has, and lets this instance ask for them. */
function isToBeAsked({ provider, all_buckets, keys }: IEndpoint): boolean {
  return provider !== 'local' && all_buckets && keys !== 'none';
}

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
  /** The endpoint of the place; empty for the one that obs://BUCKET means. */
  endpoint = '';
  /** What the names in the place are to begin with. */
  search = '';
  endpoints: IEndpoint[] | null = null;
  error: unknown = null;

  /** What lies at the place, folders first where it is not ordered by name; null while that is read. */
  get objects(): IObject[] | null {
    if (this._order === 'name' || this._objects === null) {
      return this._objects;
    }
    const folders = this._objects.filter(one => one.is_prefix);
    const files = this._objects.filter(one => !one.is_prefix);
    return [...folders, ...files.sort(COMPARE[this._order])];
  }

  get order(): Order {
    return this._order;
  }

  set order(order: Order) {
    this._order = order;
    this.changed.emit();
  }

  get hasMore(): boolean {
    return this._next !== null;
  }

  open(place: string, endpoint = this.endpoint): Promise<void> {
    this.place = place;
    this.endpoint = place === '' ? '' : endpoint;
    this.search = '';
    this.error = null;
    return this._readAnew();
  }

  /** Show only what begins with `text` in this place. */
  find(text: string): Promise<void> {
    this.search = text;
    return this._readAnew();
  }

  refresh(): Promise<void> {
    return this._refresher.request();
  }

  async loadMore(): Promise<void> {
    const { place, endpoint, search } = this;
    try {
      const page = await this.platform.client.objects(place, endpoint, search, this._next ?? undefined);
      if (this._isAt(place, endpoint, search)) {
        this._objects = [...(this._objects ?? []), ...page.objects];
        this._next = page.next;
      }
    } catch (error) {
      this.error = this._isAt(place, endpoint, search) ? error : this.error;
    }
    this.changed.emit();
  }

  async createBucket(name: string, endpoint: string): Promise<void> {
    await this.platform.client.createBucket(name, endpoint);
    await this.open(`${name}/`, endpoint);
  }

  /** How much lies below a folder of an endpoint. */
  count(path: string, endpoint = this.endpoint): Promise<IObjectCount> {
    return this.platform.client.countObjects(path, endpoint);
  }

  async remove(object: IObject): Promise<void> {
    await this.platform.client.deleteObjects(object.key, this.endpoint);
    await this.refresh();
  }

  /** Give an object or a folder another name or place; `move` takes it away from here. */
  async copy(object: IObject, target: string, targetEndpoint: string, move: boolean): Promise<void> {
    const copy = { source: object.key, target, endpoint: this.endpoint, target_endpoint: targetEndpoint, move };
    await this.platform.client.copyObject(copy);
    await this.refresh();
  }

  /** Remove a bucket with all that is in it. */
  async removeBucket(name: string, endpoint: string, isEmpty: boolean): Promise<void> {
    if (!isEmpty) {
      await this.platform.client.deleteObjects(`${name}/`, endpoint);
    }
    await this.platform.client.deleteBucket(name, endpoint);
    await this.open('');
  }

  /** Whether the place is in the platform's own store, which has neither links for others nor versions. */
  get isBuiltin(): boolean {
    const bucket = this.bucket ?? '';
    const own = this.endpoints?.find(({ provider }) => provider === 'local');
    return this.endpoint === '' ? own?.buckets.includes(bucket) === true : this.endpoint === own?.name;
  }

  /** The bucket of the place, null in the list of buckets. */
  get bucket(): string | null {
    return bucketOf(this.place) || null;
  }

  private _readAnew(): Promise<void> {
    this._objects = null;
    this._next = null;
    this.changed.emit();
    return this.refresh();
  }

  private async _load(): Promise<void> {
    const { place, endpoint, search } = this;
    try {
      const { client } = this.platform;
      const listing = place ? client.objects(place, endpoint, search) : null;
      const [endpoints, page] = await Promise.all([client.endpoints(), listing]);
      if (this._isAt(place, endpoint, search)) {
        this.endpoints = endpoints;
        this._objects = page?.objects ?? [];
        this._next = page?.next ?? null;
        this.error = null;
        void Promise.all(endpoints.filter(isToBeAsked).map(one => this._ask(one)));
      }
    } catch (error) {
      this.error = this._isAt(place, endpoint, search) ? error : this.error;
    }
    this.changed.emit();
  }

  /** Which buckets an endpoint has now: the platform knows those of the last test. */
  private async _ask(endpoint: IEndpoint): Promise<void> {
    try {
      endpoint.buckets = await this.platform.client.buckets(endpoint.name);
      endpoint.state = 'ready';
    } catch (error) {
      endpoint.state = 'failed';
      endpoint.message = (error as Error).message;
    }
    this.changed.emit();
  }

  private _isAt(place: string, endpoint: string, search: string): boolean {
    return place === this.place && endpoint === this.endpoint && search === this.search;
  }

  private _objects: IObject[] | null = null;
  private _order: Order = 'name';
  private _next: string | null = null;
  private _refresher = new Refresher(() => this._load(), 0);
}
