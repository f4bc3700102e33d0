/** One server-sent event: its name, its data, and the id that a reconnection names. */
export interface IServerSentEvent {
  event: string;
  data: string;
  id: string | null;
}

/** Takes the text of an event stream in pieces of any size and gives the events that are complete. */
export class EventParser {
  push(text: string): IServerSentEvent[] {
    const lines = (this._rest + text).split(/\r\n|\n|\r(?!$)/);
    this._rest = lines.pop() ?? '';
    const events: IServerSentEvent[] = [];
    for (const line of lines) {
      if (line === '') {
        this._dispatch(events);
      } else {
        this._field(line);
      }
    }
    return events;
  }

  private _field(line: string): void {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') {
      this._event = value;
    } else if (name === 'data') {
      this._data.push(value);
    } else if (name === 'id') {
      this._id = value;
    }
  }

  private _dispatch(events: IServerSentEvent[]): void {
    if (this._data.length > 0) {
      events.push({ event: this._event || 'message', data: this._data.join('\n'), id: this._id });
    }
    this._event = '';
    this._data = [];
    this._id = null;
  }

  private _rest = '';
  private _event = '';
  private _data: string[] = [];
  private _id: string | null = null;
}
