import { ReactWidget } from '@jupyterlab/apputils';
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import * as React from 'react';
import type { IPlatform } from '../tokens';
import { PlatformProvider } from './context';

/** A widget that shows a React view of the platform, and knows whether it is in sight. */
export class ViewWidget extends ReactWidget {
  constructor(
    private readonly platform: IPlatform,
    private readonly view: (widget: ViewWidget) => JSX.Element
  ) {
    super();
    this.addClass('mlp-view');
  }

  /** Emitted when the widget comes into sight (true) and when it goes (false). */
  readonly visibilityChanged = new Signal<this, boolean>(this);

  protected override render(): JSX.Element {
    return <PlatformProvider platform={this.platform}>{this.view(this)}</PlatformProvider>;
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.visibilityChanged.emit(true);
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this.visibilityChanged.emit(false);
  }
}

/** Whether a widget is in sight, in a browser tab that is too. */
export function useInSight(widget: ViewWidget): boolean {
  const [inSight, setInSight] = React.useState(false);
  React.useEffect(() => {
    const look = () => setInSight(widget.isVisible && document.visibilityState === 'visible');
    look();
    widget.visibilityChanged.connect(look);
    document.addEventListener('visibilitychange', look);
    return () => {
      widget.visibilityChanged.disconnect(look);
      document.removeEventListener('visibilitychange', look);
    };
  }, [widget]);
  return inSight;
}
