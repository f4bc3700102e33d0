import { describe, expect, it } from 'vitest';
import type { IParameter, ISubmitPreview } from '../src/api/models';
import { draftOf, invalidFields, parameterValue, submission } from '../src/jobs/draft';

function parameter(name: string, type: string, value: IParameter['default']): IParameter {
  return { name, type, default: value, help: '' };
}

const PREVIEW: ISubmitPreview = {
  entry: 'train.ipynb',
  folder: '',
  kind: 'notebook',
  name: 'train',
  files: [{ path: 'train.ipynb', size: 10 }],
  total_bytes: 10,
  excluded: [],
  parameters: [
    parameter('epochs', 'int', 3),
    parameter('rate', 'float', 0.1),
    parameter('fast', 'bool', false),
    parameter('label', 'str', 'a'),
    parameter('limit', 'int', null)
  ],
  problems: []
};

describe('a draft', () => {
  it('can be submitted as it is, with the values of the notebook', () => {
    const draft = draftOf('train.ipynb', PREVIEW, 'm-1', 'cpu.1u2g');
    expect(invalidFields(draft, PREVIEW)).toEqual(new Set());
    expect(submission(draft, PREVIEW)).toEqual({
      path: 'train.ipynb',
      name: 'train',
      description: '',
      image_id: 'm-1',
      flavor: 'cpu.1u2g',
      parameters: { epochs: 3, rate: 0.1, fast: false, label: 'a' },
      environment: {},
      inputs: [],
      outputs: [],
      logs: null,
      retries: 0
    });
  });

  it('leaves out rows that were not filled in', () => {
    const draft = draftOf('train.ipynb', PREVIEW, '', '');
    draft.outputs = [{ name: '', url: '' }];
    draft.environment = [
      { name: '', value: '' },
      { name: 'A', value: '' }
    ];
    expect(invalidFields(draft, PREVIEW)).toEqual(new Set());
    expect(submission(draft, PREVIEW)).toMatchObject({ outputs: [], environment: { A: '' } });
  });

  it('says which fields are wrong', () => {
    const draft = draftOf('train.ipynb', PREVIEW, '', '');
    draft.name = '-no';
    draft.retries = '999';
    draft.parameters.epochs = '1.5';
    draft.inputs = [{ name: 'data', url: 'not a place' }];
    draft.environment = [{ name: '1X', value: '' }];
    draft.logs = 'obs:/bucket';
    const wrong = ['name', 'retries', 'parameter:epochs', 'inputs:0', 'logs', 'environment:0'];
    expect(invalidFields(draft, PREVIEW)).toEqual(new Set(wrong));
  });
});

describe('the value of a parameter', () => {
  it.each([
    ['int', ' -4 ', -4],
    ['int', '4e2', null],
    ['float', '1e-3', 0.001],
    ['float', '.5', 0.5],
    ['float', 'x', null],
    ['str', ' as typed ', ' as typed '],
    ['int', '', undefined]
  ])('of type %s typed as "%s"', (type, text, value) => {
    expect(parameterValue(parameter('p', type, 1), text)).toBe(value);
  });
});
