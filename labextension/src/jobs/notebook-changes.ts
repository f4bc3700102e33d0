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
