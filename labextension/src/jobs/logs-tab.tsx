import { caretDownIcon, caretUpIcon, downloadIcon, HTMLSelect } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { IJob } from '../api/models';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { ErrorBox } from '../ui/feedback';
import { useInSight, type ViewWidget } from '../ui/panel';
import { IconButton } from '../ui/icon-button';
import { LogSearch } from './log-buffer';
import { LogFollower } from './log-follower';
import { LogView } from './log-view';
import type { JobPageModel } from './page-model';
import { isOver } from './words';

/** What the job prints: follows it, searches it, wraps it. */
export function LogsTab({ model, widget }: { model: JobPageModel; widget: ViewWidget }): JSX.Element {
  const inSight = useInSight(widget);
  useModel(model);
  const [node, setNode] = React.useState(0);
  if (!model.job) {
    return <></>;
  }
  return <Log key={node} model={model} job={model.job} node={node} setNode={setNode} inSight={inSight} />;
}

interface ILogProps {
  model: JobPageModel;
  job: IJob;
  node: number;
  setNode: (node: number) => void;
  inSight: boolean;
}

function Log({ model, job, node, setNode, inSight }: ILogProps): JSX.Element {
  const { client, events } = usePlatform();
  const follower = useFollower(
    () => new LogFollower(client, events, model.id, node, () => !model.job || isOver(model.job))
  );
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
        {job.nodes > 1 && <NodePicker nodes={job.nodes} node={node} setNode={setNode} />}
        <SearchField query={query} count={hits.length} at={at} go={go} setQuery={text => (setQuery(text), setAt(0))} />
        <span className="mlp-grow" />
        <Toggles wrap={wrap} setWrap={setWrap} isFollowing={isFollowing} setFollowing={setFollowing} />
        <Download href={client.jobLogLink(model.id, node)} name={`${job.name}-${job.number}.log`} />
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
      <Foot follower={follower} job={job} />
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

function NodePicker({ nodes, node, setNode }: { nodes: number; node: number; setNode: (node: number) => void }) {
  const trans = useTrans();
  return (
    <HTMLSelect aria-label={trans.__('Node')} value={node} onChange={event => setNode(Number(event.target.value))}>
      {Array.from({ length: nodes }, (_, index) => (
        <option key={index} value={index}>
          {trans.__('Node %1', index)}
        </option>
      ))}
    </HTMLSelect>
  );
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

function Foot({ follower, job }: { follower: LogFollower | null; job: IJob }): JSX.Element {
  const { trans, language } = usePlatform();
  const { buffer, state } = follower ?? { buffer: null, state: 'connecting' as const };
  const words = {
    connecting: trans.__('Connecting to the log…'),
    following: isOver(job) ? trans.__('Reading the log…') : trans.__('Following the log'),
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
