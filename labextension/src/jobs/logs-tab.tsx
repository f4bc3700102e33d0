import { HTMLSelect } from '@jupyterlab/ui-components';
import * as React from 'react';
import { LogPane } from '../logs/pane';
import { useModel, usePlatform, useTrans } from '../ui/context';
import { useInSight, type ViewWidget } from '../ui/panel';
import type { JobPageModel } from './page-model';
import { isOver } from './words';

/** What each node of the job prints. */
export function LogsTab({ model, widget }: { model: JobPageModel; widget: ViewWidget }): JSX.Element {
  const { client } = usePlatform();
  const inSight = useInSight(widget);
  useModel(model);
  const [node, setNode] = React.useState(0);
  const { job, id } = model;
  if (!job) {
    return <></>;
  }
  const source = {
    follow: (offset: number, abort: AbortSignal) => client.followLog(id, node, offset, abort),
    isOver: () => !model.job || isOver(model.job)
  };
  const download = { href: client.jobLogLink(id, node), name: `${job.name}-${job.number}.log` };
  return (
    <LogPane key={node} source={source} isOver={isOver(job)} inSight={inSight} download={download}>
      {job.nodes > 1 && <NodePicker nodes={job.nodes} node={node} setNode={setNode} />}
    </LogPane>
  );
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
