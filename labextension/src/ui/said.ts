import type { TranslationBundle } from '@jupyterlab/translation';

/** What the platform says in English, in the language of Lab; as it is where it is not known here. */
export function said(trans: TranslationBundle, text: string): string {
  const known: Record<string, string> = {
    'applies at the next start': trans.__('applies at the next start'),
    'applies now, kernels keep running; libraries loaded already keep their number of threads': trans.__(
      'applies now, kernels keep running; libraries loaded already keep their number of threads'
    ),
    'restarts the instance, about 15 s': trans.__('restarts the instance, about 15 s'),
    'this machine has no GPU': trans.__('this machine has no GPU'),
    'this machine has no Ascend NPU': trans.__('this machine has no Ascend NPU'),
    'too few GPUs': trans.__('too few GPUs'),
    'too few Ascend NPUs': trans.__('too few Ascend NPUs'),
    'all accelerators are in use': trans.__('all accelerators are in use')
  };
  return known[text] ?? saidWithNumber(trans, text);
}

function saidWithNumber(trans: TranslationBundle, text: string): string {
  const cores = /^this machine has (\d+) cores$/.exec(text);
  if (cores) {
    return trans.__('this machine has %1 cores', cores[1]);
  }
  const memory = /^this machine has (\d+) GiB of memory$/.exec(text);
  return memory ? trans.__('this machine has %1 GiB of memory', memory[1]) : text;
}
