import { describe, expect, it } from 'vitest';
import { Refresher } from '../src/api/refresher';

describe('Refresher', () => {
  it('answers many requests during a load with one more load', async () => {
    let loads = 0;
    let finish = () => undefined as void;
    const refresher = new Refresher(() => {
      loads += 1;
      return loads === 1 ? new Promise<void>(resolve => (finish = resolve)) : Promise.resolve();
    }, 0);
    const first = refresher.request();
    await Promise.resolve();
    const later = [refresher.request(), refresher.request(), refresher.request()];
    finish();
    await Promise.all([first, ...later]);
    expect(loads).toBe(2);
    await refresher.request();
    expect(loads).toBe(3);
  });
});
