import * as React from 'react';
import { Refresher } from '../api/refresher';
import { useInSight, type ViewWidget } from '../ui/panel';
import type { JobPageModel } from './page-model';

interface ILive<T> {
  value?: T;
  error?: unknown;
  retry: () => void;
}

/** Something of a job that is read while its tab is in sight, and again whenever the job has progressed. */
export function useLive<T>(model: JobPageModel, widget: ViewWidget, load: () => Promise<T>): ILive<T> {
  const inSight = useInSight(widget);
  const [result, setResult] = React.useState<{ value?: T; error?: unknown }>({});
  const latest = React.useRef(load);
  latest.current = load;
  const [refresher] = React.useState(
    () =>
      new Refresher(
        () =>
          latest.current().then(
            value => setResult({ value }),
            (error: unknown) => setResult(old => (old.value === undefined ? { error } : old))
          ),
        1500
      )
  );
  React.useEffect(() => {
    if (!inSight) {
      return;
    }
    const read = () => void refresher.request();
    read();
    model.progressed.connect(read);
    return () => {
      model.progressed.disconnect(read);
    };
  }, [inSight, model, refresher]);
  return { ...result, retry: () => void refresher.request() };
}
