import type { TranslationBundle } from '@jupyterlab/translation';
import { FINAL_PHASES, type IJob } from '../api/models';
import { formatNumber } from '../ui/format';

/** "train-digits #7". */
export function jobTitle(job: IJob): string {
  return `${job.name} #${job.number}`;
}

export function isOver(job: IJob): boolean {
  return FINAL_PHASES.has(job.phase);
}

/** Seconds from the start to the end or to now; null before the start. */
export function jobSeconds(job: IJob, now: Date): number | null {
  if (!job.started_at) {
    return null;
  }
  const end = job.finished_at ? new Date(job.finished_at) : isOver(job) ? null : now;
  return end ? (end.getTime() - new Date(job.started_at).getTime()) / 1000 : job.duration;
}

/** The last value of each metric, "loss 0.31 · accuracy 0.94", at most `count` of them. */
export function metricWords(job: IJob, count: number): string {
  return Object.entries(job.last_metrics)
    .slice(0, count)
    .map(([name, value]) => `${name} ${formatNumber(value)}`)
    .join(' · ');
}

/** "3 of 9 cells", or nothing where there is nothing to count. */
export function progressWords(trans: TranslationBundle, job: IJob): string {
  const { done, total } = job.progress;
  return total > 0 ? trans.__('%1 of %2 cells', done, total) : '';
}
