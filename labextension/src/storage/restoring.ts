import * as React from 'react';
import { usePlatform } from '../ui/context';

/** What a store has that can be brought back, read anew after each that was. */
export interface IRestoring<T> {
  /** Nothing until the store has answered. */
  found: T | null;
  error: unknown;
  isBusy: boolean;
  restore: (key: string, version: string) => void;
}

/** `read` is made by `useCallback`; `restored` hears of each object that was brought back. */
export function useRestoring<T>(read: () => Promise<T>, endpoint: string, restored: () => void): IRestoring<T> {
  const { client } = usePlatform();
  const [found, setFound] = React.useState<T | null>(null);
  const [error, setError] = React.useState<unknown>(null);
  const [isBusy, setIsBusy] = React.useState(false);
  const look = React.useCallback(() => read().then(setFound, setError), [read]);
  React.useEffect(() => void look(), [look]);
  const restore = async (key: string, version: string) => {
    setIsBusy(true);
    try {
      await client.restoreObject(key, endpoint, version);
      await look();
      restored();
    } catch (problem) {
      setError(problem);
    }
    setIsBusy(false);
  };
  return { found, error, isBusy, restore: (key, version) => void restore(key, version) };
}
