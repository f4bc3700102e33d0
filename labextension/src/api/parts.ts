import type { Transport } from './transport';

/** From here on a file goes to an S3 endpoint in parts. */
export const LARGE = 16 * 1024 * 1024;

const PARTS_AT_ONCE = 3;
const PAUSES_MS = [1000, 2000, 4000, 8000, 15000];

export interface IUpload {
  transport: Pick<Transport, 'url' | 'send' | 'upload'>;
  file: File;
  /** BUCKET/KEY. */
  path: string;
  endpoint: string;
  progress: (done: number) => void;
  abort: AbortSignal;
}

interface IBegun {
  part: number;
  arrived: number[];
}

/** Send a file in parts. Of one that was begun before, from this page or another, only those that have not arrived. */
export async function uploadInParts(upload: IUpload): Promise<void> {
  const { transport, file, path, endpoint } = upload;
  const asked = { path, endpoint };
  const mark = `${file.size}-${file.lastModified}`;
  const begun = await transport.send<IBegun>('POST', 'objects/upload', { size: file.size, mark }, asked);
  await sendMissing(upload, begun);
  await transport.send('POST', 'objects/upload', {}, asked);
}

async function sendMissing(upload: IUpload, { part, arrived }: IBegun): Promise<void> {
  const { file, progress } = upload;
  const count = Math.ceil(file.size / part);
  const there = new Set(arrived);
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter(number => !there.has(number));
  const sizeOf = (number: number) => Math.min(part, file.size - (number - 1) * part);
  const done = new Map(arrived.map(number => [number, sizeOf(number)]));
  const tell = (number: number, bytes: number) => {
    done.set(number, bytes);
    progress([...done.values()].reduce((sum, one) => sum + one, 0));
  };
  const worker = async () => {
    for (let number = missing.shift(); number !== undefined; number = missing.shift()) {
      const piece = file.slice((number - 1) * part, (number - 1) * part + sizeOf(number));
      const at = number;
      await sendPart(upload, at, piece, bytes => tell(at, Math.min(bytes, piece.size))).catch((error: unknown) => {
        missing.length = 0; // the others need not go on
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, worker));
}

/** A part is sent again while the server does not answer: it may be restarting. */
async function sendPart(upload: IUpload, number: number, piece: Blob, tell: (bytes: number) => void): Promise<void> {
  const { transport, path, endpoint, abort } = upload;
  const url = transport.url('objects/upload', { path, endpoint, number });
  for (const pause of PAUSES_MS) {
    try {
      return await transport.upload(url, piece, tell, abort);
    } catch (error) {
      if (abort.aborted || !isAway((error as { status?: number }).status ?? 0)) {
        throw error;
      }
    }
    await new Promise(resolve => setTimeout(resolve, pause));
  }
  return transport.upload(url, piece, tell, abort);
}

/** Nobody answers, or the proxy says so. */
function isAway(status: number): boolean {
  return status === 0 || (status >= 502 && status <= 504);
}
