import type * as nbformat from '@jupyterlab/nbformat';
import type * as models from './models';
import type { Transport } from './transport';

const JOBS_SHOWN = 200;

function encode(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** The platform as an instance sees it, one method a route; failures are `ApiError`s. */
export class Client {
  constructor(readonly transport: Transport) {}

  identity(): Promise<models.IIdentity> {
    return this.transport.get('instance');
  }

  readings(): Promise<models.IReadings> {
    return this.transport.get('readings');
  }

  flavors(): Promise<models.IFlavorOffer[]> {
    return this.transport.get('v1/flavors');
  }

  instance(id: string): Promise<models.IInstance> {
    return this.transport.get(`v1/instances/${id}`);
  }

  flavorChoices(instanceId: string): Promise<models.IFlavorChoice[]> {
    return this.transport.get(`v1/instances/${instanceId}/flavors`);
  }

  switchFlavor(instanceId: string, flavor: string, restart: boolean): Promise<models.IInstance> {
    return this.transport.send('POST', `v1/instances/${instanceId}/switch`, { flavor, restart });
  }

  stopInstance(id: string): Promise<models.IInstance> {
    return this.transport.send('POST', `v1/instances/${id}/stop`);
  }

  saveImage(instanceId: string, save: models.IImageSave): Promise<models.IImage> {
    return this.transport.send('POST', `v1/instances/${instanceId}/images`, save);
  }

  previewImage(instanceId: string, exclude: string[]): Promise<models.ISavePreview> {
    return this.transport.send('POST', `v1/instances/${instanceId}/images/preview`, { exclude });
  }

  /** Give up a save that is under way. */
  cancelImage(id: string): Promise<models.IImage> {
    return this.transport.send('POST', `v1/images/${id}/cancel`);
  }

  /** The newest events of an instance or a job, newest first. */
  async events(noun: 'instances' | 'jobs', id: string, count = 50): Promise<models.IEvent[]> {
    const path = `v1/${noun}/${id}/events`;
    const first = await this.transport.get<models.IPage<models.IEvent>>(path, { limit: count });
    const page =
      first.total > count
        ? await this.transport.get<models.IPage<models.IEvent>>(path, { limit: count, offset: first.total - count })
        : first;
    return page.data.reverse();
  }

  async images(): Promise<models.IImage[]> {
    return (await this.transport.get<models.IPage<models.IImage>>('v1/images', { limit: 500 })).data;
  }

  image(id: string): Promise<models.IImage> {
    return this.transport.get(`v1/images/${id}`);
  }

  /** The newest jobs, newest first. */
  jobs(): Promise<models.IPage<models.IJob>> {
    return this.transport.get('v1/jobs', { limit: JOBS_SHOWN });
  }

  job(id: string): Promise<models.IJob> {
    return this.transport.get(`v1/jobs/${id}`);
  }

  stopJob(id: string): Promise<models.IJob> {
    return this.transport.send('POST', `v1/jobs/${id}/stop`);
  }

  rerunJob(id: string): Promise<models.IJob> {
    return this.transport.send('POST', `v1/jobs/${id}/rerun`);
  }

  deleteJob(id: string): Promise<models.IJob> {
    return this.transport.send('DELETE', `v1/jobs/${id}`);
  }

  submitPreview(path: string): Promise<models.ISubmitPreview> {
    return this.transport.get('submit/preview', { path });
  }

  submit(job: models.ISubmit): Promise<models.IJob> {
    return this.transport.send('POST', 'submit', job);
  }

  jobNotebook(id: string): Promise<nbformat.INotebookContent> {
    return this.transport.get(`v1/jobs/${id}/notebook`);
  }

  jobMetrics(id: string): Promise<models.IMetricPoint[]> {
    return this.transport.get(`v1/jobs/${id}/metrics`);
  }

  jobFiles(id: string): Promise<models.IJobFile[]> {
    return this.transport.get(`v1/jobs/${id}/files`);
  }

  jobFileLink(id: string, path: string): string {
    return this.transport.link(`v1/jobs/${id}/files/${encode(path)}`);
  }

  jobArchiveLink(id: string): string {
    return this.transport.link(`v1/jobs/${id}/archive`);
  }

  jobLogLink(id: string, node: number): string {
    return this.transport.link(`v1/jobs/${id}/logs`, { node });
  }

  /** The log from a byte offset on; it streams until the job has ended. */
  followLog(id: string, node: number, offset: number, abort: AbortSignal): Promise<Response> {
    const url = this.transport.url(`v1/jobs/${id}/logs`, { node, offset, follow: true });
    return this.transport.fetch(url, { signal: abort });
  }

  endpoints(): Promise<models.IEndpoint[]> {
    return this.transport.get('v1/storage/endpoints');
  }

  objects(prefix: string, marker?: string, recursive = false): Promise<models.IListing> {
    return this.transport.get('v1/storage/objects', { prefix, marker, recursive, limit: recursive ? 1000 : 200 });
  }

  uploadObject(key: string, file: Blob, progress: (done: number) => void, abort: AbortSignal): Promise<void> {
    return this.transport.upload(`v1/storage/objects/${encode(key)}`, file, progress, abort);
  }

  deleteObject(key: string): Promise<{ deleted: number }> {
    return this.transport.send('DELETE', `v1/storage/objects/${encode(key)}`);
  }

  /** Delete every object whose key begins with `prefix`. */
  deleteObjects(prefix: string): Promise<{ deleted: number }> {
    return this.transport.send('DELETE', `v1/storage/objects/${encode(prefix)}`, undefined, { recursive: true });
  }

  objectLink(key: string): string {
    return this.transport.link(`v1/storage/objects/${encode(key)}`);
  }

  createBucket(name: string): Promise<unknown> {
    return this.transport.send('PUT', `v1/storage/buckets/${encodeURIComponent(name)}`);
  }

  deleteBucket(name: string): Promise<unknown> {
    return this.transport.send('DELETE', `v1/storage/buckets/${encodeURIComponent(name)}`);
  }

  transfers(): Promise<models.ITransfer[]> {
    return this.transport.get('transfers');
  }

  startTransfer(source: string, target: string): Promise<models.ITransfer> {
    return this.transport.send('POST', 'transfers', { source, target });
  }

  cancelTransfer(id: string): Promise<unknown> {
    return this.transport.send('DELETE', `transfers/${id}`);
  }
  environments(): Promise<models.IEnvironments> {
    return this.transport.get('environments');
  }

  environmentFiles(): Promise<models.IEnvironmentFile[]> {
    return this.transport.get('environments/files');
  }

  makeEnvironment(wish: { name: string; file?: string; clone_of?: string }): Promise<models.IEnvironmentWork> {
    return this.transport.send('POST', 'environments', wish);
  }

  removeEnvironment(name: string): Promise<unknown> {
    return this.transport.send('DELETE', `environments/named/${encodeURIComponent(name)}`);
  }

  /** Cancel it while it is under way, else take it off the list. */
  endEnvironmentWork(id: string): Promise<models.IEnvironmentWork> {
    return this.transport.send('DELETE', `environments/work/${id}`);
  }
}
