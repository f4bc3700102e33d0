import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILauncher } from '@jupyterlab/launcher';
import type { JobsModel } from './jobs/model';
import { CommandIDs, IJobsModel, IPlatform } from './tokens';

const RECENT_JOBS = 3;

export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-mlplat:launcher',
  description: 'A section of the launcher with the platform and the recent jobs.',
  autoStart: true,
  requires: [IPlatform, IJobsModel, ILauncher],
  activate: (_: JupyterFrontEnd, platform: IPlatform, jobs: JobsModel, launcher: ILauncher) => {
    const category = platform.trans.__('ML platform');
    const commands = [CommandIDs.newInstance, CommandIDs.showJobs, CommandIDs.showStorage];
    commands.forEach((command, rank) => launcher.add({ command, category, rank }));
    let shown = '';
    let items: { dispose: () => void }[] = [];
    jobs.changed.connect(() => {
      const recent = (jobs.jobs ?? []).slice(0, RECENT_JOBS);
      const ids = recent.map(({ id }) => id).join();
      if (ids !== shown) {
        shown = ids;
        items.forEach(item => item.dispose());
        items = recent.map(({ id }, index) =>
          launcher.add({ command: CommandIDs.openJob, args: { id }, category, rank: commands.length + index })
        );
      }
    });
  }
};
