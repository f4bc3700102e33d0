import { PathExt } from '@jupyterlab/coreutils';
import type { Contents, ServerConnection } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import type { Client } from '../api/client';
import type { IObject } from '../api/objects';

/** What Lab's paths of objects begin with: `obs:BUCKET/KEY`. */
export const DRIVE = 'obs';

const OPENED_BYTES = 64 * 1024 * 1024;

/** Whether Lab says this key unchanged; else the object cannot be opened as a document. */
export function canOpen(key: string): boolean {
  return PathExt.normalize(key) === key;
}

/** Objects as documents of Lab: opened, edited and saved where they are. Folders are for the storage panel. */
export class ObjectsDrive implements Contents.IDrive {
  constructor(
    private readonly client: Client,
    readonly serverSettings: ServerConnection.ISettings
  ) {}

  readonly name = DRIVE;
  readonly fileChanged = new Signal<this, Contents.IChangedArgs>(this);
  isDisposed = false;

  dispose(): void {
    this.isDisposed = true;
    Signal.clearData(this);
  }

  async get(path: string, options: Contents.IFetchOptions = {}): Promise<Contents.IModel> {
    const facts = await this.client.objectFacts(path, '');
    const model = modelOf(path, facts);
    if (options.content === false) {
      return model;
    }
    if (facts.size > OPENED_BYTES) {
      throw new Error(`${path} is too large to be opened here. Copy it into the work folder.`);
    }
    const content = await this.client.objectStart(path, '', facts.size);
    if (options.format === 'base64') {
      return { ...model, format: 'base64', content: await inBase64(content) };
    }
    const text = await content.text();
    return model.type === 'notebook'
      ? { ...model, format: 'json', content: JSON.parse(text) as unknown }
      : { ...model, format: 'text', content: text };
  }

  async save(path: string, options: Partial<Contents.IModel> = {}): Promise<Contents.IModel> {
    await this.client.writeObject(path, await bytesOf(options));
    const saved = modelOf(path, await this.client.objectFacts(path, ''));
    this.fileChanged.emit({ type: 'save', oldValue: null, newValue: saved });
    return saved;
  }

  getDownloadUrl(path: string): Promise<string> {
    return Promise.resolve(this.client.objectLink(path, ''));
  }

  async delete(path: string): Promise<void> {
    await this.client.deleteObjects(path, '');
    this.fileChanged.emit({ type: 'delete', oldValue: { path }, newValue: null });
  }

  async rename(oldPath: string, newPath: string): Promise<Contents.IModel> {
    await this.client.copyObject({ source: oldPath, target: newPath, endpoint: '', target_endpoint: '', move: true });
    const renamed = modelOf(newPath, await this.client.objectFacts(newPath, ''));
    this.fileChanged.emit({ type: 'rename', oldValue: { path: oldPath }, newValue: renamed });
    return renamed;
  }

  async copy(path: string, folder: string): Promise<Contents.IModel> {
    const target = PathExt.join(folder, PathExt.basename(path));
    await this.client.copyObject({ source: path, target, endpoint: '', target_endpoint: '', move: false });
    return modelOf(target, await this.client.objectFacts(target, ''));
  }

  newUntitled(): Promise<Contents.IModel> {
    return Promise.reject(new Error('New files are made in the work folder.'));
  }

  /** Stores keep versions where they are to; there is nothing else to go back to. */
  createCheckpoint(): Promise<Contents.ICheckpointModel> {
    return Promise.resolve({ id: 'none', last_modified: new Date().toISOString() });
  }

  listCheckpoints(): Promise<Contents.ICheckpointModel[]> {
    return Promise.resolve([]);
  }

  restoreCheckpoint(): Promise<void> {
    return Promise.resolve();
  }

  deleteCheckpoint(): Promise<void> {
    return Promise.resolve();
  }
}

function modelOf(path: string, { size, modified_at: modified, tag }: IObject): Contents.IModel {
  const isNotebook = path.toLowerCase().endsWith('.ipynb');
  return {
    name: PathExt.basename(path),
    path,
    type: isNotebook ? 'notebook' : 'file',
    writable: true,
    created: modified ?? '',
    last_modified: modified ?? '',
    mimetype: '',
    content: null,
    format: null,
    size,
    ...(tag ? { hash: tag, hash_algorithm: 'tag' } : {})
  };
}

async function bytesOf({ content, format }: Partial<Contents.IModel>): Promise<Blob> {
  if (format === 'json') {
    return new Blob([JSON.stringify(content, null, 1) + '\n']);
  }
  if (format === 'base64') {
    return (await fetch(`data:;base64,${content as string}`)).blob();
  }
  return new Blob([content as string]);
}

async function inBase64(content: Blob): Promise<string> {
  const bytes = new Uint8Array(await content.arrayBuffer());
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}
