import type { IPlatform } from '../tokens';
import { Widget } from '@lumino/widgets';
import { ViewWidget } from './panel';

const MARGIN = 8;

/** Show a view below an element of the top bar, until Escape or a click elsewhere; gives a way to close it. */
export function openPopover(
  platform: IPlatform,
  anchor: HTMLElement,
  view: () => JSX.Element,
  onClosed: () => void
): () => void {
  const popover = new ViewWidget(platform, view);
  popover.addClass('mlp-popover');
  popover.addClass('jp-ThemedContainer');
  const ended = new AbortController();
  const close = () => {
    if (!popover.isDisposed) {
      ended.abort();
      popover.dispose();
      anchor.focus();
      onClosed();
    }
  };
  const onPointer = (event: Event) => {
    const target = event.target as Node;
    if (!popover.node.contains(target) && !anchor.contains(target)) {
      close();
    }
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      close();
    }
  };
  document.addEventListener('pointerdown', onPointer, { capture: true, signal: ended.signal });
  document.addEventListener('keydown', onKey, { capture: true, signal: ended.signal });
  Widget.attach(popover, document.body);
  place(popover.node, anchor);
  popover.node.tabIndex = -1;
  popover.node.focus();
  return close;
}

function place(node: HTMLElement, anchor: HTMLElement): void {
  const box = anchor.getBoundingClientRect();
  node.style.top = `${box.bottom + 4}px`;
  node.style.right = `${Math.max(MARGIN, window.innerWidth - box.right)}px`;
  node.style.maxHeight = `${window.innerHeight - box.bottom - 2 * MARGIN}px`;
}
