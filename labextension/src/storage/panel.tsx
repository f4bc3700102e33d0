import { fileUploadIcon, historyIcon, HTMLSelect, newFolderIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { useModel, useTrans } from '../ui/context';
import { Trouble } from '../ui/feedback';
import { useInSight, type ViewWidget } from '../ui/panel';
import { CopyButton } from '../ui/text';
import { IconButton } from '../ui/icon-button';
import { Browser } from './browser';
import type { Order, StorageModel } from './model';
import { filesDropped, filesPicked, type ILocalFile } from './local-files';
import { crumbsOf, obsUrl } from './paths';
import { TransferList } from './transfer-list';
import type { TransfersModel } from './transfers';
import type { IStorageActions } from './actions';

export interface IStoragePanelProps {
  model: StorageModel;
  transfers: TransfersModel;
  actions: IStorageActions;
  widget: ViewWidget;
}

/** The side panel *Storage*: buckets, what is in them, and the copies under way. */
export function StoragePanel(props: IStoragePanelProps): JSX.Element {
  const { model, transfers, actions, widget } = props;
  useModel(model);
  const inSight = useInSight(widget);
  React.useEffect(() => {
    if (inSight) {
      void model.refresh();
      void transfers.refresh();
    }
  }, [inSight, model, transfers]);
  const drop = useDrop(model.place !== '', files => actions.upload(files));
  return (
    <div className={drop.isOver ? 'mlp-panel mlp-mod-drop' : 'mlp-panel'} {...drop.handlers}>
      <Head {...props} />
      <Crumbs model={model} />
      {model.place !== '' && <Search key={`${model.endpoint}:${model.place}`} model={model} />}
      <div className="mlp-panel-body mlp-mod-list">
        <Trouble error={model.error} retry={() => void model.refresh()} />
        {model.error === null && <Browser {...props} />}
      </div>
      <TransferList transfers={transfers} />
    </div>
  );
}

function Head({ model, transfers, actions }: IStoragePanelProps): JSX.Element {
  const trans = useTrans();
  const picker = React.useRef<HTMLInputElement>(null);
  const inBucket = model.place !== '';
  return (
    <div className="mlp-panel-head">
      <h2>{trans.__('Storage')}</h2>
      {inBucket ? (
        <IconButton
          label={trans.__('Upload files here')}
          icon={fileUploadIcon}
          onClick={() => picker.current?.click()}
        />
      ) : (
        <IconButton label={trans.__('New bucket…')} icon={newFolderIcon} onClick={actions.newBucket} />
      )}
      {inBucket && !model.isBuiltin && (
        <IconButton label={trans.__('Deleted objects…')} icon={historyIcon} onClick={actions.gone} />
      )}
      <IconButton label={trans.__('Read the list again')} icon={refreshIcon} onClick={() => void model.refresh()} />
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        onChange={event => {
          transfers.upload(filesPicked(event.target.files ?? []), model.place);
          event.target.value = '';
        }}
      />
    </div>
  );
}

function Crumbs({ model }: { model: StorageModel }): JSX.Element | null {
  const trans = useTrans();
  if (model.place === '') {
    return null;
  }
  const crumbs = crumbsOf(model.place);
  return (
    <nav className="mlp-crumbs" aria-label={trans.__('Place in the storage')}>
      <button type="button" className="mlp-link" onClick={() => void model.open('')}>
        {trans.__('Buckets')}
      </button>
      {crumbs.map(([name, place], index) => (
        <React.Fragment key={place}>
          <span aria-hidden="true">/</span>
          {index === crumbs.length - 1 ? (
            <strong className="mlp-ellipsis" title={name} aria-current="location">
              {name}
            </strong>
          ) : (
            <button type="button" className="mlp-link mlp-ellipsis" title={name} onClick={() => void model.open(place)}>
              {name}
            </button>
          )}
        </React.Fragment>
      ))}
      <CopyButton text={obsUrl(model.place)} label={trans.__('Copy %1', obsUrl(model.place))} />
    </nav>
  );
}

const PAUSE_MS = 300;

/** What the names here are to begin with, and their order. */
function Search({ model }: { model: StorageModel }): JSX.Element {
  const trans = useTrans();
  const [text, setText] = React.useState(model.search);
  React.useEffect(() => {
    if (text !== model.search) {
      const timer = setTimeout(() => void model.find(text), PAUSE_MS);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [text, model]);
  const orders: [Order, string][] = [
    ['name', trans.__('By name')],
    ['size', trans.__('Largest first')],
    ['time', trans.__('Newest first')]
  ];
  const hint = trans.__('Stores list by name: another order is that of what has been read so far.');
  return (
    <div className="mlp-object-search">
      <input
        type="search"
        className="jp-mod-styled"
        value={text}
        placeholder={trans.__('Begins with…')}
        aria-label={trans.__('Names that begin with…')}
        onChange={event => setText(event.target.value)}
      />
      <HTMLSelect
        value={model.order}
        aria-label={trans.__('Order')}
        title={model.hasMore ? hint : undefined}
        onChange={event => (model.order = event.target.value as Order)}
      >
        {orders.map(([order, words]) => (
          <option key={order} value={order}>
            {words}
          </option>
        ))}
      </HTMLSelect>
    </div>
  );
}

interface IDrop {
  isOver: boolean;
  handlers: React.DOMAttributes<HTMLElement>;
}

/** Takes files that are dragged in from the user's machine. Where nobody took them the browser would leave Lab. */
function useDrop(isTarget: boolean, take: (files: Promise<ILocalFile[]>) => void): IDrop {
  const [isOver, setOver] = React.useState(false);
  const hasFiles = (event: React.DragEvent) => event.dataTransfer.types.includes('Files');
  return {
    isOver,
    handlers: {
      onDragOver: event => {
        if (hasFiles(event)) {
          event.preventDefault();
          event.stopPropagation();
          setOver(isTarget);
        }
      },
      onDragLeave: event => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) {
          setOver(false);
        }
      },
      onDrop: event => {
        if (hasFiles(event)) {
          event.preventDefault();
          event.stopPropagation();
          setOver(false);
          take(filesDropped(event.dataTransfer));
        }
      }
    }
  };
}
