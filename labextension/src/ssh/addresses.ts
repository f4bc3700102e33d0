import type { ISshHost } from '../api/models';

/** What `mlplat ssh config` calls the instance. */
export function aliasOf(host: Pick<ISshHost, 'instance_name'>): string {
  return `${host.instance_name}.mlplat`;
}

/** The address that opens VS Code in the work folder, through its Remote-SSH extension. */
export function addressForVsCode(host: Pick<ISshHost, 'instance_name' | 'folder'>): string {
  const folder = host.folder.split('/').map(encodeURIComponent).join('/');
  return `vscode://vscode-remote/ssh-remote+${encodeURIComponent(aliasOf(host))}${folder}`;
}
