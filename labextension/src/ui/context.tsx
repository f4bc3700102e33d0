import type { ISignal } from '@lumino/signaling';
import * as React from 'react';
import type { IChanging, IPlatform } from '../tokens';

const PlatformContext = React.createContext<IPlatform | null>(null);

/** Gives the views below it the platform, its translations and its language. */
export function PlatformProvider(props: { platform: IPlatform; children: React.ReactNode }): JSX.Element {
  return <PlatformContext.Provider value={props.platform}>{props.children}</PlatformContext.Provider>;
}

export function usePlatform(): IPlatform {
  return React.useContext(PlatformContext)!;
}

export function useTrans(): IPlatform['trans'] {
  return usePlatform().trans;
}

/** Render again whenever the signal is emitted. */
export function useSignal(signal: ISignal<unknown, unknown>): void {
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = () => render();
    signal.connect(slot);
    render();
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}

/** Render again whenever the model changes. */
export function useModel(model: IChanging): void {
  useSignal(model.changed);
}

/** The time now, told anew every `period` ms while this view is mounted; 0 keeps it still. */
export function useNow(period: number): Date {
  const [now, setNow] = React.useState(() => new Date());
  React.useEffect(() => {
    if (period === 0) {
      return;
    }
    const timer = setInterval(() => setNow(new Date()), period);
    return () => clearInterval(timer);
  }, [period]);
  return now;
}

/** A value that is loaded once for these `keys`: undefined while it loads, then the value or the error. */
export function useLoaded<T>(load: () => Promise<T>, keys: React.DependencyList): { value?: T; error?: unknown } {
  const [result, setResult] = React.useState<{ value?: T; error?: unknown }>({});
  React.useEffect(() => {
    let wanted = true;
    load().then(
      value => wanted && setResult({ value }),
      (error: unknown) => wanted && setResult({ error })
    );
    return () => {
      wanted = false;
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the caller says when to load again
  }, keys);
  return result;
}
