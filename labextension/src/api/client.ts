import type * as nbformat from '@jupyterlab/nbformat';
import type * as models from './models';
import type * as mounts from './mounts';
import type * as objects from './objects';
import { LARGE, uploadInParts } from './parts';
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

  buildPreview(path: string): Promise<models.IBuildPreview> {
    return this.transport.get('builds/preview', { path });
  }

  buildImage(build: models.IImageBuild): Promise<models.IImage> {
    return this.transport.send('POST', 'builds', build);
  }

  imageLogLink(id: string): string {
    return this.transport.link(`v1/images/${id}/log`);
  }

  /** The log of a build from a byte offset on; it streams until the build has ended. */
  followBuild(id: string, offset: number, abort: AbortSignal): Promise<Response> {
    const url = this.transport.url(`v1/images/${id}/log`, { offset, follow: true });
    return this.transport.fetch(url, { signal: abort });
  }

  /** Give up a save or a build that is under way. */
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

  endpoints(): Promise<objects.IEndpoint[]> {
    return this.transport.get('v1/storage/endpoints');
  }

  /** Those that an endpoint has now. */
  async buckets(endpoint: string): Promise<string[]> {
    return (await this.transport.get<{ buckets: string[] }>('objects/buckets', { endpoint })).buckets;
  }

  /** One page of what is in a folder (BUCKET/FOLDER/) of an endpoint; with `search` of what begins so. */
  objects(path: string, endpoint: string, search: string, after?: string): Promise<objects.IListing> {
    return this.transport.get('objects', { path, endpoint, search, after });
  }

  objectFacts(path: string, endpoint: string): Promise<objects.IObject> {
    return this.transport.get('objects/facts', { path, endpoint });
  }

  countObjects(path: string, endpoint: string): Promise<objects.IObjectCount> {
    return this.transport.get('objects/count', { path, endpoint });
  }

  /** At most the first `size` bytes of an object. */
  async objectStart(path: string, endpoint: string, size: number): Promise<Blob> {
    const url = this.transport.url('objects/content', { path, endpoint, end: size });
    return (await this.transport.fetch(url)).blob();
  }

  /** The bytes from `start` up to `end`. */
  async objectRange(path: string, endpoint: string, start: number, end: number): Promise<ArrayBuffer> {
    const url = this.transport.url('objects/content', { path, endpoint, start, end });
    return (await this.transport.fetch(url)).arrayBuffer();
  }

  async objectVersions(path: string, endpoint: string): Promise<objects.IObjectVersion[]> {
    const query = { path, endpoint };
    return (await this.transport.get<{ versions: objects.IObjectVersion[] }>('objects/versions', query)).versions;
  }

  /** What was deleted below a folder; `more` where that is not all. */
  goneObjects(path: string, endpoint: string): Promise<{ objects: objects.IGoneObject[]; more: boolean }> {
    return this.transport.get('objects/gone', { path, endpoint });
  }

  /** Make a version the latest one again. */
  restoreObject(path: string, endpoint: string, version: string): Promise<unknown> {
    return this.transport.send('POST', 'objects/versions', { version }, { path, endpoint });
  }

  copyObject(copy: objects.IObjectCopy): Promise<{ copied: number }> {
    return this.transport.send('POST', 'objects/copy', copy);
  }

  /** An address from which anybody can get the object for so many seconds. */
  linkObject(path: string, endpoint: string, seconds: number): Promise<objects.IObjectLink> {
    return this.transport.send('POST', 'objects/link', { seconds }, { path, endpoint });
  }

  /** To the endpoint that its bucket is at: to the platform's own store, or through the server of this instance. */
  async uploadObject(key: string, file: File, progress: (done: number) => void, abort: AbortSignal): Promise<void> {
    const bucket = encodeURIComponent(key.split('/')[0] ?? '');
    const { endpoint } = await this.transport.get<objects.IBucketPlace>(`v1/storage/buckets/${bucket}`);
    if (endpoint !== 'local' && file.size >= LARGE) {
      const upload = { transport: this.transport, file, path: key, endpoint, progress, abort };
      return uploadInParts(upload);
    }
    const url =
      endpoint === 'local'
        ? this.transport.url(`v1/storage/objects/${encode(key)}`)
        : this.transport.url('objects/content', { path: key, endpoint });
    return this.transport.upload(url, file, progress, abort);
  }

  /** Write a small object anew. */
  async writeObject(path: string, content: Blob): Promise<void> {
    const headers = { 'Content-Type': 'application/octet-stream' };
    await this.transport.fetch(this.transport.url('objects/content', { path }), {
      method: 'PUT',
      body: content,
      headers
    });
  }

  /** Let nothing stay of an upload in parts. */
  async giveUpUpload(key: string): Promise<void> {
    const bucket = encodeURIComponent(key.split('/')[0] ?? '');
    const { endpoint } = await this.transport.get<objects.IBucketPlace>(`v1/storage/buckets/${bucket}`);
    if (endpoint !== 'local') {
      await this.transport.send('DELETE', 'objects/upload', undefined, { path: key, endpoint });
    }
  }

  /** An object, or a folder (it ends with /) with all that is below it. */
  deleteObjects(path: string, endpoint: string): Promise<{ deleted: number }> {
    return this.transport.send('DELETE', 'objects', undefined, { path, endpoint });
  }

  objectLink(path: string, endpoint: string): string {
    return this.transport.link('objects/content', { path, endpoint });
  }

  createBucket(name: string, endpoint: string): Promise<unknown> {
    return this.transport.send('PUT', 'objects/bucket', undefined, { path: name, endpoint });
  }

  deleteBucket(name: string, endpoint: string): Promise<unknown> {
    return this.transport.send('DELETE', 'objects/bucket', undefined, { path: name, endpoint });
  }

  transfers(): Promise<models.ITransfer[]> {
    return this.transport.get('transfers');
  }

  startTransfer(source: string, target: string): Promise<models.ITransfer> {
    return this.transport.send('POST', 'transfers', { source, target });
  }

  pauseTransfer(id: string): Promise<models.ITransfer> {
    return this.transport.send('PATCH', `transfers/${id}`, { state: 'paused' });
  }

  /** Go on with a copy that is paused or has failed, or that asks: then with the answer. */
  resumeTransfer(id: string, onConflict: models.OnConflict | null): Promise<models.ITransfer> {
    return this.transport.send('PATCH', `transfers/${id}`, { state: 'queued', on_conflict: onConflict });
  }

  cancelTransfer(id: string): Promise<unknown> {
    return this.transport.send('DELETE', `transfers/${id}`);
  }

  sshGateway(): Promise<models.ISshGateway> {
    return this.transport.get('v1/ssh/gateway');
  }

  sshKeys(): Promise<models.ISshKey[]> {
    return this.transport.get('v1/ssh/keys');
  }

  sshHost(instanceId: string): Promise<models.ISshHost> {
    return this.transport.get(`v1/instances/${instanceId}/ssh`);
  }

  sshSessions(instanceId: string): Promise<models.ISshSession[]> {
    return this.transport.get(`v1/instances/${instanceId}/ssh/sessions`);
  }

  cutSshSession(instanceId: string, session: string): Promise<void> {
    return this.transport.send('DELETE', `v1/instances/${instanceId}/ssh/sessions/${session}`);
  }

  mounts(instanceId: string): Promise<mounts.IMountList> {
    return this.transport.get(`v1/instances/${instanceId}/storage`);
  }

  createMount(instanceId: string, wanted: mounts.IMountCreate): Promise<mounts.IMount> {
    return this.transport.send('POST', `v1/instances/${instanceId}/storage`, wanted);
  }

  removeMount(instanceId: string, id: string): Promise<mounts.IMount> {
    return this.transport.send('DELETE', `v1/instances/${instanceId}/storage/${id}`);
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
