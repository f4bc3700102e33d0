import type * as nbformat from '@jupyterlab/nbformat';
import { describe, expect, it } from 'vitest';
import { outputChanges, runningCell, sameCells, shorten } from '../src/jobs/notebook-changes';

function stream(text: string): nbformat.IStream {
  return { output_type: 'stream', name: 'stdout', text };
}

function code(count: number | null, outputs: nbformat.IOutput[] = [], source = 'x'): nbformat.ICodeCell {
  return { cell_type: 'code', source, metadata: {}, execution_count: count, outputs };
}

function notebook(...cells: nbformat.ICell[]): nbformat.INotebookContent {
  return { nbformat: 4, nbformat_minor: 5, metadata: {}, cells };
}

describe('outputChanges', () => {
  it('finds only the cells that differ', () => {
    const old = notebook(code(1), code(null));
    const fresh = notebook(code(1), code(2, [stream('a')]));
    expect(outputChanges(old, fresh).map(({ cell }) => cell)).toEqual([1]);
  });

  it('keeps what is still there, and sees a stream that goes on', () => {
    const [change] = outputChanges(
      notebook(code(1, [stream('a')])),
      notebook(code(1, [stream('ab'), { output_type: 'error' }]))
    );
    expect(change).toMatchObject({ keep: 1, lastGrew: true });
  });

  it('keeps nothing where outputs were cleared or replaced', () => {
    const [change] = outputChanges(
      notebook(code(1, [stream('a'), stream('b')])),
      notebook(code(1, [stream('c'), stream('b')]))
    );
    expect(change).toMatchObject({ keep: 0 });
  });
});

describe('the notebook of a job', () => {
  it('is another one when a source changes', () => {
    expect(sameCells(notebook(code(1)), notebook(code(2)))).toBe(true);
    expect(sameCells(notebook(code(1)), notebook(code(1, [], 'y')))).toBe(false);
  });

  it('runs the last cell that has begun, or the next one with code', () => {
    expect(runningCell(notebook(code(1), code(2), code(null)), 1)).toBe(1);
    expect(runningCell(notebook(code(1), code(null, [], ' '), code(null)), 1)).toBe(2);
    expect(runningCell(notebook(code(1)), 1)).toBe(-1);
  });

  it('is shown without the middle of very long outputs', () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join('');
    const [cell] = shorten(notebook(code(1, [stream(lines)])), '[cut]').cells as nbformat.ICodeCell[];
    const text = (cell!.outputs[0] as nbformat.IStream).text as string;
    expect(text.length).toBeLessThan(60_000);
    expect(text).toContain('line 0\n');
    expect(text).toContain('\n[cut]\n');
    expect(text.endsWith('line 19999\n')).toBe(true);
  });
});
