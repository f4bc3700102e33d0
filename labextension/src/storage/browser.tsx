import {
  copyIcon,
  deleteIcon,
  downloadIcon,
  ellipsesIcon,
  fileIcon,
  folderIcon,
  pasteIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';
import { isShared, type IEndpoint, type IObject } from '../api/objects';
import { usePlatform, useTrans } from '../ui/context';
import { EmptyState, Waiting } from '../ui/feedback';
import { formatBytes } from '../ui/format';
import { storageIcon } from '../ui/icons';
import { Ago, Name } from '../ui/text';
import { IconButton } from '../ui/icon-button';
import type { IStorageActions } from './actions';
import type { StorageModel } from './model';
import { nameOf, obsUrl } from './paths';

interface IBrowserProps {
  model: StorageModel;
  actions: IStorageActions;
}

/** The buckets, or what lies at the place that is open. */
export function Browser(props: IBrowserProps): JSX.Element {
  const trans = useTrans();
  const { model } = props;
  if (model.place === '') {
    return <Buckets {...props} />;
  }
  if (!model.objects) {
    return <Waiting>{trans.__('Reading %1…', nameOf(model.place))}</Waiting>;
  }
  if (model.objects.length === 0 && model.search) {
    return <EmptyState>{trans.__('Nothing here begins with “%1”.', model.search)}</EmptyState>;
  }
  if (model.objects.length === 0) {
    return (
      <EmptyState>{trans.__('Nothing here yet. Drop files here, or upload some with the button above.')}</EmptyState>
    );
  }
  return (
    <ul className="mlp-list">
      {model.objects.map(object => (
        <ObjectRow key={object.key} object={object} {...props} />
      ))}
      {model.hasMore && (
        <li>
          <button type="button" className="mlp-link mlp-more" onClick={() => void model.loadMore()}>
            {trans.__('Show more')}
          </button>
        </li>
      )}
    </ul>
  );
}

function Buckets({ model, actions }: IBrowserProps): JSX.Element {
  const trans = useTrans();
  if (!model.endpoints) {
    return <Waiting>{trans.__('Reading your buckets…')}</Waiting>;
  }
  if (model.endpoints.every(({ buckets }) => buckets.length === 0)) {
    return (
      <EmptyState action={trans.__('New bucket…')} onAction={actions.newBucket}>
        {trans.__('You have no buckets yet. A bucket keeps data for jobs and instances under an obs:// path.')}
      </EmptyState>
    );
  }
  return (
    <>
      {model.endpoints.map(endpoint => (
        <Endpoint key={endpoint.name} endpoint={endpoint} model={model} actions={actions} />
      ))}
    </>
  );
}

/** The buckets of an endpoint, or why there are none to be seen. */
function Endpoint({ endpoint, model, actions }: IBrowserProps & { endpoint: IEndpoint }): JSX.Element {
  const trans = useTrans();
  const { name, buckets, prefix } = endpoint;
  return (
    <section>
      <h3 title={endpoint.address}>{name === 'local' ? trans.__('On this platform') : name}</h3>
      {endpoint.state === 'failed' && <p className="mlp-endpoint-trouble">{endpoint.message}</p>}
      {endpoint.state !== 'failed' && endpoint.keys === 'none' && name !== 'local' && (
        <p className="mlp-endpoint-trouble">
          {isShared(endpoint)
            ? trans.__('It gives no keys to instances. Ask %1, whose it is.', endpoint.owner)
            : trans.__('It gives no keys to instances. Change that in the console, below Storage.')}
        </p>
      )}
      {endpoint.state === 'ready' && buckets.length === 0 && (
        <p className="mlp-endpoint-trouble">{trans.__('There is no bucket yet.')}</p>
      )}
      <ul className="mlp-list">
        {buckets.map(bucket => (
          <Row
            key={bucket}
            icon={storageIcon}
            name={bucket}
            open={() => void model.open(`${bucket}/${prefix}`, name)}
            actions={
              <>
                <IconButton
                  label={trans.__('Copy %1', obsUrl(`${bucket}/`))}
                  icon={copyIcon}
                  onClick={() => actions.copyPath(`${bucket}/`)}
                />
                {endpoint.all_buckets && !isShared(endpoint) && (
                  <IconButton
                    label={trans.__('Delete the bucket…')}
                    icon={deleteIcon}
                    onClick={() => actions.deleteBucket(bucket, name)}
                  />
                )}
              </>
            }
          />
        ))}
      </ul>
    </section>
  );
}

function ObjectRow({ object, model, actions }: IBrowserProps & { object: IObject }): JSX.Element {
  const { trans, client } = usePlatform();
  const name = nameOf(object.key);
  return (
    <Row
      icon={object.is_prefix ? folderIcon : fileIcon}
      name={name}
      open={object.is_prefix ? () => void model.open(object.key) : () => actions.preview(object)}
      size={object.is_prefix ? '' : formatBytes(object.size)}
      moment={object.modified_at}
      actions={
        <>
          <IconButton
            label={trans.__('Copy %1', obsUrl(object.key))}
            icon={copyIcon}
            onClick={() => actions.copyPath(object.key)}
          />
          <IconButton
            label={trans.__('Copy into the folder that is open in the file browser')}
            icon={pasteIcon}
            onClick={() => actions.copyToWork(object)}
          />
          {!object.is_prefix && (
            <a
              className="mlp-icon-button"
              href={client.objectLink(object.key, model.endpoint)}
              download={name}
              title={trans.__('Download to your machine')}
              aria-label={trans.__('Download to your machine')}
            >
              <downloadIcon.react tag="span" width="16px" />
            </a>
          )}
          <IconButton label={trans.__('Delete…')} icon={deleteIcon} onClick={() => actions.deleteObject(object)} />
          <IconButton
            label={trans.__('More for %1', name)}
            icon={ellipsesIcon}
            onClick={anchor => actions.more(object, anchor)}
          />
        </>
      }
    />
  );
}

interface IRowProps {
  icon: typeof fileIcon;
  name: string;
  open: () => void;
  size?: string;
  moment?: string | null;
  actions: React.ReactNode;
}

function Row({ icon, name, open, size, moment, actions }: IRowProps): JSX.Element {
  const Icon = icon.react;
  return (
    <li className="mlp-object">
      <button type="button" className="mlp-object-name" onClick={open}>
        <Icon tag="span" width="16px" className="mlp-object-icon" />
        <span className="mlp-shrink mlp-grow">
          <Name>{name}</Name>
        </span>
      </button>
      <span className="mlp-object-facts mlp-faint">
        {size && <span className="mlp-number">{size}</span>}
        {moment && <Ago moment={moment} />}
      </span>
      <span className="mlp-object-actions">{actions}</span>
    </li>
  );
}
