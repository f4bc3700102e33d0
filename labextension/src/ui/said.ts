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
    'this cluster has no GPU': trans.__('this cluster has no GPU'),
    'this cluster has no Ascend NPU': trans.__('this cluster has no Ascend NPU'),
    'too few GPUs': trans.__('too few GPUs'),
    'too few Ascend NPUs': trans.__('too few Ascend NPUs'),
    'all GPUs are in use': trans.__('all GPUs are in use'),
    'all Ascend NPUs are in use': trans.__('all Ascend NPUs are in use'),
    'all accelerators are in use': trans.__('all accelerators are in use')
  };
  return known[text] ?? saidWithNumbers(trans, text);
}

function saidWithNumbers(trans: TranslationBundle, text: string): string {
  const numbers: string[] = [];
  const template = text.replace(/(?<![\w.])\d+(\.\d+)?(?!\w)/g, number => `%${numbers.push(number)}`);
  const known: Record<string, string> = {
    'this machine has %1 cores': trans.__('this machine has %1 cores', ...numbers),
    'this machine has %1 GiB of memory': trans.__('this machine has %1 GiB of memory', ...numbers),
    'no node of this cluster is as large (%1 CPU cores and %2 GiB)': trans.__(
      'no node of this cluster is as large (%1 CPU cores and %2 GiB)',
      ...numbers
    ),
    'no node of this cluster is as large (%1 CPU cores and %2 GiB, with %3 GPUs)': trans.__(
      'no node of this cluster is as large (%1 CPU cores and %2 GiB, with %3 GPUs)',
      ...numbers
    ),
    'no node of this cluster is as large (%1 CPU cores and %2 GiB, with %3 Ascend NPUs)': trans.__(
      'no node of this cluster is as large (%1 CPU cores and %2 GiB, with %3 Ascend NPUs)',
      ...numbers
    ),
    'the nodes are full: the most that is free on one is %1 CPU cores and %2 GiB': trans.__(
      'the nodes are full: the most that is free on one is %1 CPU cores and %2 GiB',
      ...numbers
    ),
    'the nodes are full: the most that is free on one is %1 CPU cores and %2 GiB, with %3 GPUs': trans.__(
      'the nodes are full: the most that is free on one is %1 CPU cores and %2 GiB, with %3 GPUs',
      ...numbers
    ),
    'the nodes are full: the most that is free on one is %1 CPU cores and %2 GiB, with %3 Ascend NPUs': trans.__(
      'the nodes are full: the most that is free on one is %1 CPU cores and %2 GiB, with %3 Ascend NPUs',
      ...numbers
    )
  };
  return known[template] ?? text;
}
