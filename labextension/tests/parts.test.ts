import { expect, it } from 'vitest';
import { uploadInParts, type IUpload } from '../src/api/parts';

/** A server that has some parts already, and does not answer to the first tries. */
function server(part: number, arrived: number[], silent: number) {
  const said: string[] = [];
  const transport: IUpload['transport'] = {
    url: (_, query) => `${(query as { number: number }).number}`,
    send: (method, path, body) => {
      said.push(`${method} ${path} ${JSON.stringify(body)}`);
      return Promise.resolve({ part, arrived } as never);
    },
    upload: (url, piece, progress) => {
      if (silent-- > 0) {
        return Promise.reject(Object.assign(new Error('no answer'), { status: 0 }));
      }
      progress(piece.size + 100); // what is sent is a little more than the piece
      said.push(`part ${url} of ${piece.size}`);
      return Promise.resolve();
    }
  };
  return { said, transport };
}

function uploaded(transport: IUpload['transport'], progress: (done: number) => void): Promise<void> {
  const file = new File(['0123456789'], 'ten.bin', { lastModified: 5 });
  return uploadInParts({
    transport,
    file,
    path: 'b/ten.bin',
    endpoint: 'e',
    progress,
    abort: new AbortController().signal
  });
}

it('sends the parts that have not arrived, and ends with it', async () => {
  const { said, transport } = server(4, [2], 0);
  const done: number[] = [];
  await uploaded(transport, bytes => done.push(bytes));
  expect(said).toEqual([
    'POST objects/upload {"size":10,"mark":"10-5"}',
    'part 1 of 4',
    'part 3 of 2',
    'POST objects/upload {}'
  ]);
  expect(done.at(-1)).toBe(10);
});

it('sends a part again while nobody answers', async () => {
  const { said, transport } = server(10, [], 1);
  await uploaded(transport, () => undefined);
  expect(said).toContain('part 1 of 10');
});
