import { Notification } from '@jupyterlab/apputils';
import { FileDialog } from '@jupyterlab/filebrowser';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { IJob } from '../api/models';
import { CommandIDs, type IPlatform } from '../tokens';
import { chosenPath, type IPathSources, PATH_ARGS } from '../ui/chosen-path';
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

function isRunnable(path: string): boolean {
  return /\.(ipynb|py|sh|bash)$/i.test(path);
}

/** The notebook or script that a command is about: where another document is in front, the notebook last used. */
function pathFor(
  args: ReadonlyPartialJSONObject,
  sources: IPathSources,
  notebooks: INotebookTracker | null
): string | null {
  const path = chosenPath(args, sources, isRunnable);
  const isGiven = typeof args.path === 'string' || args.selected;
  return isGiven || (path && isRunnable(path)) ? path : (notebooks?.currentWidget?.context.path ?? null);
}

/** Ask which notebook or script it is to be; null where none is chosen. */
async function choose({ trans, translator }: IPlatform, { documents, browser }: IPathSources): Promise<string | null> {
  const title = trans.__('Choose the notebook or script to run');
  const { value } = await FileDialog.getOpenFiles({
    manager: documents,
    title,
    translator,
    defaultPath: browser?.tracker.currentWidget?.model.path,
    filter: ({ type, path }) => (type === 'directory' || isRunnable(path) ? {} : null)
  });
  const chosen = value?.find(({ type, path }) => type !== 'directory' && isRunnable(path));
  if (value && !chosen) {
    Notification.info(title, { autoClose: 6000 });
  }
  return chosen?.path ?? null;
}

export function addSubmitCommand(
  platform: IPlatform,
  submitter: JobSubmitter,
  sources: IPathSources,
  notebooks: INotebookTracker | null
): void {
  const { trans } = platform;
  const { app } = sources;
  app.commands.addCommand(CommandIDs.submitJob, {
    label: trans.__('Submit as a Job…'),
    caption: trans.__('Run this notebook or script by itself, with the files beside it'),
    icon: args => (args.palette ? undefined : jobsIcon),
    describedBy: {
      args: {
        type: 'object',
        properties: {
          ...PATH_ARGS,
          image_id: { type: 'string', description: 'The id of the image to run on' }
        }
      }
    },
    isVisible: args => !args.selected || pathFor(args, sources, notebooks) !== null,
    execute: async args => {
      const path = pathFor(args, sources, notebooks) ?? (await choose(platform, sources));
      if (path !== null) {
        const local = app.serviceManager.contents.localPath(path);
        await submitter.submit(local, args.image_id as string | undefined);
      }
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
