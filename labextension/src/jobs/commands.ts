import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { IJob } from '../api/models';
import { CommandIDs, type IPlatform } from '../tokens';
import { confirm } from '../ui/dialog';
import { jobsIcon } from '../ui/icons';
import type { JobsModel } from './model';
import type { JobSubmitter } from './submit';
import { jobTitle } from './words';

const JOB_ARGS = {
  args: {
    type: 'object',
    required: ['id'],
    properties: { id: { type: 'string', description: 'The id of a job' } }
  }
};

/** Where a path may come from when the command gives none. */
export interface IPathSources {
  /** The path of the document in front, if it is one. */
  front: () => string | null;
  notebooks: INotebookTracker | null;
  browser: IFileBrowserFactory | null;
}

function isRunnable(path: string): boolean {
  return /\.(ipynb|py|sh|bash)$/i.test(path);
}

/** The notebook or script that a command is about: the one given, the one in front, or the one selected. */
export function pathFor(args: ReadonlyPartialJSONObject, sources: IPathSources): string | null {
  if (typeof args.path === 'string') {
    return args.path;
  }
  if (args.selected) {
    const items = [...(sources.browser?.tracker.currentWidget?.selectedItems() ?? [])];
    return items.find(item => isRunnable(item.path))?.path ?? null;
  }
  const front = sources.front();
  return front && isRunnable(front) ? front : (sources.notebooks?.currentWidget?.context.path ?? null);
}

export function addSubmitCommand(
  app: JupyterFrontEnd,
  platform: IPlatform,
  submitter: JobSubmitter,
  sources: IPathSources
): void {
  const { trans } = platform;
  app.commands.addCommand(CommandIDs.submitJob, {
    label: trans.__('Submit as a Job…'),
    caption: trans.__('Run this notebook or script by itself, with the files beside it'),
    icon: args => (args.palette ? undefined : jobsIcon),
    describedBy: {
      args: {
        type: 'object',
        properties: {
          path: { type: 'string', description: 'A notebook or script in the work folder; else the one in front' },
          image_id: { type: 'string', description: 'The id of the image to run on' },
          selected: { type: 'boolean', description: 'Take what is selected in the file browser' }
        }
      }
    },
    isVisible: args => !args.selected || pathFor(args, sources) !== null,
    execute: async args => {
      const path = pathFor(args, sources);
      if (path === null) {
        Notification.info(trans.__('Open the notebook that is to run as a job, then submit it.'), { autoClose: 6000 });
        return;
      }
      const local = app.serviceManager.contents.localPath(path);
      await submitter.submit(local, args.image_id as string | undefined);
    }
  });
}

export function addJobCommands(commands: CommandRegistry, platform: IPlatform, jobs: JobsModel): void {
  const { client, trans } = platform;
  const onJob = (verb: (job: IJob) => Promise<void>) => async (args: ReadonlyPartialJSONObject) => {
    try {
      await verb(await client.job(args.id as string));
    } catch (error) {
      Notification.error(error instanceof Error ? error.message : String(error), { autoClose: false });
    }
  };
  commands.addCommand(CommandIDs.stopJob, {
    label: trans.__('Stop a Job…'),
    describedBy: JOB_ARGS,
    execute: onJob(job =>
      confirm(platform, {
        title: trans.__('Stop %1?', jobTitle(job)),
        words: trans.__('What it has printed and written so far is kept. It cannot be continued, but run again.'),
        verb: trans.__('Stop'),
        accept: async () => void (await client.stopJob(job.id))
      })
    )
  });
  commands.addCommand(CommandIDs.deleteJob, {
    label: trans.__('Delete a Job…'),
    describedBy: JOB_ARGS,
    execute: onJob(async job => {
      const files = await client.jobFiles(job.id).catch(() => []);
      const count = trans._n('one file', '%1 files', files.length);
      await confirm(platform, {
        title: trans.__('Delete %1?', jobTitle(job)),
        words: trans.__(
          'This deletes its notebook, logs and metrics, and the %1 that it left. Outputs in the object storage are kept.',
          count
        ),
        verb: trans.__('Delete'),
        accept: async () => {
          await client.deleteJob(job.id);
          await jobs.refresh();
        }
      });
    })
  });
  commands.addCommand(CommandIDs.rerunJob, {
    label: trans.__('Run a Job Again'),
    describedBy: JOB_ARGS,
    execute: onJob(async job => {
      const again = await client.rerunJob(job.id);
      Notification.success(trans.__('Job %1 submitted', jobTitle(again)), {
        autoClose: 10_000,
        actions: [
          { label: trans.__('Open'), callback: () => void commands.execute(CommandIDs.openJob, { id: again.id }) }
        ]
      });
    })
  });
}
