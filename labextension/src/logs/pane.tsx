import { caretDownIcon, caretUpIcon, downloadIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { usePlatform, useTrans } from '../ui/context';
import { ErrorBox } from '../ui/feedback';
import { IconButton } from '../ui/icon-button';
import { LogSearch } from './buffer';
import { LogFollower, type ILogSource } from './follower';
import { LogView } from './view';

interface ILogPaneProps {
  source: ILogSource;
  /** Whether the log grows no more. */
  isOver: boolean;
  inSight: boolean;
  download: { href: string; name: string };
  /** What stands before the search. */
  children?: React.ReactNode;
}

/** A log: follows it, searches it, wraps it. The source is that of the pane's whole life: another log has another key. */
export function LogPane({ source, isOver, inSight, download, children }: ILogPaneProps): JSX.Element {
  const { events } = usePlatform();
  const follower = useFollower(() => new LogFollower(events, source));
  React.useEffect(() => {
    if (inSight) {
      follower?.start();
      return () => follower?.pause();
    }
    return undefined;
  }, [inSight, follower]);
  const [wrap, setWrap] = React.useState(false);
  const [isFollowing, setFollowing] = React.useState(true);
  const [query, setQuery] = React.useState('');
  const [at, setAt] = React.useState(0);
  const search = React.useMemo(
    () => (follower && query ? new LogSearch(follower.buffer, query) : null),
    [follower, query]
  );
  search?.update();
  const hits = search?.hits ?? [];
  const go = (step: number) => {
    if (hits.length > 0) {
      setFollowing(false);
      setAt((at + step + hits.length) % hits.length);
    }
  };
  return (
    <div className="mlp-log">
      <div className="mlp-log-bar">
        {children}
        <SearchField query={query} count={hits.length} at={at} go={go} setQuery={text => (setQuery(text), setAt(0))} />
        <span className="mlp-grow" />
        <Toggles wrap={wrap} setWrap={setWrap} isFollowing={isFollowing} setFollowing={setFollowing} />
        <Download {...download} />
      </div>
      {follower?.state === 'waiting' && <ErrorBox error={follower.error} />}
      {follower && (
        <LogView
          buffer={follower.buffer}
          wrap={wrap}
          query={query}
          target={query && hits.length > 0 ? hits[at]! : null}
          isFollowing={isFollowing}
          setFollowing={setFollowing}
        />
      )}
      <Foot follower={follower} isOver={isOver} />
    </div>
  );
}

function useFollower(create: () => LogFollower): LogFollower | null {
  const [follower, setFollower] = React.useState<LogFollower | null>(null);
  const [, render] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const fresh = create();
    fresh.changed.connect(() => render());
    setFollower(fresh);
    return () => fresh.dispose();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- one follower for the life of this view
  }, []);
  return follower;
}

interface ISearchFieldProps {
  query: string;
  setQuery: (query: string) => void;
  count: number;
  at: number;
  go: (step: number) => void;
}

function SearchField({ query, setQuery, count, at, go }: ISearchFieldProps): JSX.Element {
  const trans = useTrans();
  const onKey = (event: React.KeyboardEvent) => {
    if (event.key === 'Enter') {
      go(event.shiftKey ? -1 : 1);
    } else if (event.key === 'Escape') {
      setQuery('');
    }
  };
  return (
    <div className="mlp-log-search">
      <input
        type="search"
        className="jp-mod-styled"
        placeholder={trans.__('Search the log')}
        aria-label={trans.__('Search the log')}
        value={query}
        onChange={event => setQuery(event.target.value)}
        onKeyDown={onKey}
      />
      {query && (
        <>
          <span className="mlp-number mlp-faint" role="status">
            {count > 0 ? trans.__('%1 of %2 lines', at + 1, count) : trans.__('nothing found')}
          </span>
          <IconButton label={trans.__('The line before')} icon={caretUpIcon} onClick={() => go(-1)} />
          <IconButton label={trans.__('The next line')} icon={caretDownIcon} onClick={() => go(1)} />
        </>
      )}
    </div>
  );
}

interface ITogglesProps {
  wrap: boolean;
  setWrap: (wrap: boolean) => void;
  isFollowing: boolean;
  setFollowing: (following: boolean) => void;
}

function Toggles({ wrap, setWrap, isFollowing, setFollowing }: ITogglesProps): JSX.Element {
  const trans = useTrans();
  return (
    <>
      <label className="mlp-check">
        <input type="checkbox" checked={isFollowing} onChange={event => setFollowing(event.target.checked)} />
        {trans.__('Follow')}
      </label>
      <label className="mlp-check">
        <input type="checkbox" checked={wrap} onChange={event => setWrap(event.target.checked)} />
        {trans.__('Wrap')}
      </label>
    </>
  );
}

function Download({ href, name }: { href: string; name: string }): JSX.Element {
  const trans = useTrans();
  return (
    <a className="mlp-icon-button" href={href} download={name} title={trans.__('Download the log')}>
      <downloadIcon.react tag="span" width="16px" />
    </a>
  );
}

function Foot({ follower, isOver }: { follower: LogFollower | null; isOver: boolean }): JSX.Element {
  const { trans, language } = usePlatform();
  const { buffer, state } = follower ?? { buffer: null, state: 'connecting' as const };
  const words = {
    connecting: trans.__('Connecting to the log…'),
    following: isOver ? trans.__('Reading the log…') : trans.__('Following the log'),
    waiting: trans.__('Trying again in a moment…'),
    ended: trans.__('The log is complete')
  };
  const total = (buffer?.count ?? 0) + (buffer?.dropped ?? 0);
  return (
    <div className="mlp-log-foot mlp-faint" role="status">
      <span className="mlp-grow">{words[state]}</span>
      {buffer !== null && buffer.dropped > 0 && <span>{trans.__('Older lines are only in the download.')}</span>}
      <span className="mlp-number">
        {trans._n('one line', '%1 lines', total).replace(String(total), total.toLocaleString(language))}
      </span>
    </div>
  );
}
