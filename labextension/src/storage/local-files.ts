/** A file of the user's own machine, and the path that it is to have at its new place. */
export interface ILocalFile {
  file: File;
  path: string;
}

export function filesPicked(files: Iterable<File>): ILocalFile[] {
  return [...files].map(file => ({ file, path: file.webkitRelativePath || file.name }));
}

/** All files that were dropped, those in folders too. To be called while the event lasts: later it forgets them. */
export async function filesDropped(transfer: DataTransfer): Promise<ILocalFile[]> {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry()).filter(entry => entry !== null);
  return (await Promise.all(entries.map(entry => filesBelow(entry, '')))).flat();
}

async function filesBelow(entry: FileSystemEntry, folder: string): Promise<ILocalFile[]> {
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, path }];
  }
  const within = await entriesIn((entry as FileSystemDirectoryEntry).createReader());
  return (await Promise.all(within.map(inner => filesBelow(inner, `${path}/`)))).flat();
}

/** A reader gives a folder's entries in portions, and an empty one at the end. */
async function entriesIn(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const entries: FileSystemEntry[] = [];
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) {
      return entries;
    }
    entries.push(...portion);
  }
}
