import { flavorsPlugin } from './flavors/plugin';
import { imageBuildsPlugin } from './images/build-plugin';
import { imagesModelPlugin, imagesPlugin } from './images/plugin';
import { connectionLostPlugin } from './instances/lost';
import { instanceModelPlugin, instancesPlugin } from './instances/plugin';
import { jobPagePlugin, jobsModelPlugin, jobsPlugin } from './jobs/plugin';
import { launcherPlugin } from './launcher';
import { platformPlugin } from './platform';
import { storagePlugin } from './storage/plugin';

export * from './tokens';

export default [
  platformPlugin,
  connectionLostPlugin,
  instanceModelPlugin,
  imagesModelPlugin,
  jobsModelPlugin,
  instancesPlugin,
  flavorsPlugin,
  imagesPlugin,
  imageBuildsPlugin,
  jobsPlugin,
  jobPagePlugin,
  storagePlugin,
  launcherPlugin
];
