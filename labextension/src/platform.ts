import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { Client } from './api/client';
import { EventStream } from './api/events';
import type { IFlavorOffer, IIdentity } from './api/models';
import { Transport } from './api/transport';
import { IPlatform } from './tokens';

/** The translation domain of this extension. */
export const DOMAIN = 'jupyter_mlplat';

class Platform implements IPlatform {
  constructor(
    readonly client: Client,
    readonly translator: ITranslator,
    readonly language: string
  ) {
    this.trans = translator.load(DOMAIN);
    this.events = new EventStream(client.transport);
  }

  readonly events: EventStream;
  readonly trans: TranslationBundle;

  get identity(): Promise<IIdentity> {
    this._identity ??= this._identify();
    return this._identity;
  }

  flavors(): Promise<IFlavorOffer[]> {
    this._flavors ??= this.client.flavors().catch(error => {
      this._flavors = null;
      throw error;
    });
    return this._flavors;
  }

  async openConsole(path = '', where: 'tab' | 'here' = 'tab'): Promise<void> {
    // The tab is opened before anything is awaited: later the browser would take it for a pop-up.
    const tab = where === 'tab' ? window.open('about:blank', '_blank') : window;
    const { console } = await this.identity;
    (tab ?? window).location.href = URLExt.join(console, path);
  }

  private async _identify(): Promise<IIdentity> {
    try {
      const identity = await this.client.identity();
      void this.events.run();
      return identity;
    } catch (error) {
      this._identity = null;
      throw error;
    }
  }

  private _identity: Promise<IIdentity> | null = null;
  private _flavors: Promise<IFlavorOffer[]> | null = null;
}

export const platformPlugin: JupyterFrontEndPlugin<IPlatform> = {
  id: 'jupyter-mlplat:platform',
  description: 'Connects this Lab with the platform that it runs on.',
  autoStart: true,
  provides: IPlatform,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null) => {
    const words = translator ?? nullTranslator;
    const transport = new Transport(app.serviceManager.serverSettings, words.load(DOMAIN));
    const language = (translator?.languageCode ?? 'en').replace('_', '-');
    return new Platform(new Client(transport), words, language === 'default' ? 'en' : language);
  }
};
