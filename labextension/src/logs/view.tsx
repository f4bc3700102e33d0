import * as React from 'react';
import { useTrans } from '../ui/context';
import { LogRows, type ILogRow, type LogBuffer } from './buffer';

const ROW_HEIGHT = 18;
const OVERSCAN = 20;
const NEAR_END = 2 * ROW_HEIGHT;
const PADDING = 12;

interface ILogViewProps {
  buffer: LogBuffer;
  wrap: boolean;
  query: string;
  /** The line to bring into sight. */
  target: number | null;
  isFollowing: boolean;
  setFollowing: (following: boolean) => void;
}

/** Lines of any number: only those in sight are in the page. */
export function LogView(props: ILogViewProps): JSX.Element {
  const { buffer, wrap, target, isFollowing, setFollowing } = props;
  const trans = useTrans();
  const frame = React.useRef<HTMLDivElement>(null);
  const { width, height, character } = useSizes(frame);
  const [top, setTop] = React.useState(0);
  const rows = React.useMemo(() => new LogRows(buffer), [buffer]);
  rows.update(wrap ? Math.max(20, Math.floor((width - 2 * PADDING) / character)) : Infinity);

  React.useLayoutEffect(() => {
    if (isFollowing && frame.current) {
      frame.current.scrollTop = frame.current.scrollHeight;
    }
  });
  React.useLayoutEffect(() => {
    if (target !== null && frame.current) {
      frame.current.scrollTop = rows.rowOf(target) * ROW_HEIGHT - frame.current.clientHeight / 2;
    }
  }, [target, rows]);

  const onScroll = (event: React.UIEvent<HTMLDivElement>) => {
    const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
    const wentUp = scrollTop < top - 1;
    setTop(scrollTop);
    if (wentUp && isFollowing) {
      setFollowing(false);
    } else if (!isFollowing && !wentUp && target === null && scrollTop + clientHeight > scrollHeight - NEAR_END) {
      setFollowing(true);
    }
  };
  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - OVERSCAN);
  const last = Math.min(rows.count, Math.ceil((top + height) / ROW_HEIGHT) + OVERSCAN);
  const shown = Array.from({ length: Math.max(0, last - first) }, (_, index) => rows.row(first + index));
  const wide = wrap ? undefined : Math.ceil(buffer.longest * character) + 2 * PADDING;
  return (
    <div
      className="mlp-log-view"
      ref={frame}
      onScroll={onScroll}
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label={trans.__('Log')}
    >
      <div className="mlp-log-lines" style={{ height: rows.count * ROW_HEIGHT, minWidth: wide }}>
        <div style={{ transform: `translateY(${first * ROW_HEIGHT}px)` }}>
          {shown.map((row, index) => (
            <Row key={first + index} row={row} query={props.query} isTarget={row.line === target} />
          ))}
        </div>
      </div>
    </div>
  );
}

function Row({ row, query, isTarget }: { row: ILogRow; query: string; isTarget: boolean }): JSX.Element {
  return (
    <div className={isTarget ? 'mlp-log-row mlp-mod-target' : 'mlp-log-row'}>
      {query ? marked(row.text, query) : row.text}
    </div>
  );
}

function marked(text: string, query: string): React.ReactNode {
  const parts: React.ReactNode[] = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(query.toLowerCase()); at >= 0; at = lower.indexOf(query.toLowerCase(), from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + query.length)}</mark>);
    from = at + query.length;
  }
  return [...parts, text.slice(from)];
}

interface ISizes {
  width: number;
  height: number;
  character: number;
}

/** The size of the frame and of one character in it, followed as they change. */
function useSizes(frame: React.RefObject<HTMLDivElement>): ISizes {
  const [sizes, setSizes] = React.useState<ISizes>({ width: 800, height: 600, character: 8 });
  React.useLayoutEffect(() => {
    const node = frame.current!;
    const measure = () =>
      setSizes({ width: node.clientWidth, height: node.clientHeight, character: characterWidth(node) });
    const observer = new ResizeObserver(measure);
    observer.observe(node);
    return () => observer.disconnect();
  }, [frame]);
  return sizes;
}

function characterWidth(node: HTMLElement): number {
  const probe = document.createElement('span');
  probe.textContent = 'x'.repeat(100);
  probe.style.cssText = 'position: absolute; visibility: hidden; white-space: pre';
  node.append(probe);
  const width = probe.getBoundingClientRect().width / 100;
  probe.remove();
  return width || 8;
}
