import { expect, it } from 'vitest';
import { addressForVsCode, aliasOf } from '../src/ssh/addresses';

it('names an instance as `mlplat ssh config` does', () => {
  expect(aliasOf({ instance_name: 'digits' })).toBe('digits.mlplat');
});

it('opens VS Code in the work folder, whatever its name', () => {
  const address = addressForVsCode({ instance_name: 'digits', folder: '/data/my work/100%' });
  expect(address).toBe('vscode://vscode-remote/ssh-remote+digits.mlplat/data/my%20work/100%25');
});
