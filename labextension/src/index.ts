import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugins: JupyterFrontEndPlugin<unknown>[] = [
  { id: 'jupyter-mlplat:storage', description: 'x', autoStart: true, activate: () => console.log('mlplat') }
];
export default plugins;
