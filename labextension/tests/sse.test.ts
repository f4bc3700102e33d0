import { describe, expect, it } from 'vitest';
import { EventParser } from '../src/api/sse';

const STREAM =
  'id: 4\r\nevent: hello\r\ndata: {}\r\n\r\n: ping\r\n\r\nid: 5\nevent: changed\ndata: {"noun":"job"}\n\n' +
  'event: touched\ndata: one\ndata: two\n\n';

describe('EventParser', () => {
  it('gives name, data and id of each event, and skips comments', () => {
    expect(new EventParser().push(STREAM)).toEqual([
      { event: 'hello', data: '{}', id: '4' },
      { event: 'changed', data: '{"noun":"job"}', id: '5' },
      { event: 'touched', data: 'one\ntwo', id: null }
    ]);
  });

  it('finds the same events however the text is cut', () => {
    const whole = new EventParser().push(STREAM);
    for (const size of [1, 2, 3, 7]) {
      const parser = new EventParser();
      const found = [];
      for (let start = 0; start < STREAM.length; start += size) {
        found.push(...parser.push(STREAM.slice(start, start + size)));
      }
      expect(found).toEqual(whole);
    }
  });

  it('keeps an event back until it is complete', () => {
    const parser = new EventParser();
    expect(parser.push('data: x\n')).toEqual([]);
    expect(parser.push('\n')).toEqual([{ event: 'message', data: 'x', id: null }]);
  });
});
