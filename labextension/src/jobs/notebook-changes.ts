import type * as nbformat from '@jupyterlab/nbformat';

/** How the outputs of one cell have changed. */
export interface IOutputChange {
  cell: number;
  executionCount: nbformat.ExecutionCount;
  outputs: nbformat.IOutput[];
  /** How many of the outputs before are still there. */
  keep: number;
  /** Whether the last of those kept has new content, as a stream that goes on. */
  lastGrew: boolean;
}

/** Whether two states of a notebook have the same cells with the same sources. */
export function sameCells(old: nbformat.INotebookContent, fresh: nbformat.INotebookContent): boolean {
  return (
    old.cells.length === fresh.cells.length &&
    old.cells.every((cell, index) => {
      const other = fresh.cells[index]!;
      return cell.cell_type === other.cell_type && String(cell.source) === String(other.source);
    })
  );
}

/** The cells whose outputs or numbers differ. */
export function outputChanges(old: nbformat.INotebookContent, fresh: nbformat.INotebookContent): IOutputChange[] {
  return fresh.cells.flatMap((cell, index) => {
    const before = old.cells[index]!;
    if (cell.cell_type !== 'code' || JSON.stringify(cell) === JSON.stringify(before)) {
      return [];
    }
    return [changeOf(index, before as nbformat.ICodeCell, cell as nbformat.ICodeCell)];
  });
}

function changeOf(cell: number, before: nbformat.ICodeCell, after: nbformat.ICodeCell): IOutputChange {
  const same = (index: number) => JSON.stringify(before.outputs[index]) === JSON.stringify(after.outputs[index]);
  const count = before.outputs.length;
  const head = Array.from({ length: Math.max(0, count - 1) }, (_, index) => index).every(same);
  const there = count <= after.outputs.length && head;
  return {
    cell,
    executionCount: after.execution_count,
    outputs: after.outputs,
    keep: there ? count : 0,
    lastGrew: there && count > 0 && !same(count - 1)
  };
}

/** The index of the cell that runs while `done` cells are: the last that has begun, else the next; -1 for none. */
export function runningCell(content: nbformat.INotebookContent, done: number): number {
  const counts = content.cells.map(cell => (cell.cell_type === 'code' ? (cell.execution_count as number | null) : 0));
  const begun = Math.max(0, ...counts.map(count => count ?? 0));
  if (begun > done) {
    return counts.lastIndexOf(begun);
  }
  return content.cells.findIndex((cell, index) => counts[index] === null && textOf(cell.source).trim() !== '');
}

const LONGEST_TEXT = 60_000;

/** The notebook with very long printed outputs cut in their middle, where `words` stand. */
export function shorten(content: nbformat.INotebookContent, words: string): nbformat.INotebookContent {
  const cells = content.cells.map(cell => {
    if (cell.cell_type !== 'code') {
      return cell;
    }
    const outputs = (cell.outputs as nbformat.IOutput[]).map(output => shortenOutput(output, words));
    return { ...cell, outputs };
  });
  return { ...content, cells };
}

function shortenOutput(output: nbformat.IOutput, words: string): nbformat.IOutput {
  if (output.output_type !== 'stream') {
    return output;
  }
  const text = textOf(output.text as nbformat.MultilineString);
  if (text.length <= LONGEST_TEXT) {
    return output;
  }
  const head = text.slice(0, text.indexOf('\n', LONGEST_TEXT / 6) + 1);
  const tail = text.slice(text.indexOf('\n', text.length - LONGEST_TEXT / 2) + 1);
  return { ...output, text: `${head}\n${words}\n\n${tail}` };
}

function textOf(text: nbformat.MultilineString): string {
  return Array.isArray(text) ? text.join('') : text;
}
