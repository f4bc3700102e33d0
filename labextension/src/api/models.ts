/** The models on the wire, as `jupyter_mlplat/*\/models.py` has them. Times are ISO 8601 strings in UTC. */

export type Moment = string;
export type Scalar = boolean | number | string;

export interface IPage<Row> {
  current: number;
  data: Row[];
  pages: number;
  size: number;
  total: number;
}

export interface IEvent {
  id: number;
  noun: string;
  resource_id: string;
  type: string;
  message: string;
  at: Moment;
}

/** Progress of a resource that has no event of its own. */
export interface ITouch {
  noun: string;
  resource_id: string;
}

export type Category = 'CPU' | 'GPU' | 'ASCEND';

export interface IFlavor {
  id: string;
  name: string;
  arch: string;
  category: Category;
  vcpus: number;
  memory_mib: number;
  accelerator: { type: string; count: number; memory_mib: number } | null;
}

export interface IFlavorOffer extends IFlavor {
  sold_out: boolean;
  reason: string | null;
  enforced: string[];
}

export type Effect = 'current' | 'live' | 'restart';

export interface IFlavorChoice {
  flavor: IFlavorOffer;
  effect: Effect;
  note: string;
}

export type Status =
  | 'INIT'
  | 'CREATING'
  | 'STARTING'
  | 'RUNNING'
  | 'STOPPING'
  | 'STOPPED'
  | 'SNAPSHOTTING'
  | 'DELETING'
  | 'DELETED'
  | 'CREATE_FAILED'
  | 'START_FAILED'
  | 'DELETE_FAILED'
  | 'ERROR'
  | 'FROZEN';

export interface IStep {
  name: string;
  status: 'WAITING' | 'PROCESSING' | 'FAILED' | 'COMPLETED';
  message: string;
  started_at: Moment | null;
  finished_at: Moment | null;
}

export interface IInstance {
  id: string;
  name: string;
  description: string;
  owner: string;
  workspace: string;
  status: Status;
  status_message: string;
  target: 'RUNNING' | 'STOPPED' | 'DELETED';
  image_id: string;
  image_name: string;
  flavor: string;
  target_image_id: string | null;
  target_flavor: string | null;
  steps: IStep[];
  url: string;
  created_at: Moment;
  updated_at: Moment;
  started_at: Moment | null;
  last_activity: Moment | null;
}

/** Who this server is: what `GET mlplat/instance` says without asking the platform. */
export interface IIdentity {
  instance_id: string | null;
  user: string;
  console: string;
  /** When this server was started: another time is another server. */
  started: Moment;
  runtime: { name?: string; flavor?: IFlavor; image?: { id: string; name: string }; enforced?: string[] } | null;
}

export interface IAcceleratorReading {
  name: string;
  used_percent: number;
  memory_used_bytes: number;
  memory_bytes: number;
}

export interface IReadings {
  cpu: { used: number; cores: number };
  memory: { used_bytes: number; limit_bytes: number | null; enforced: boolean };
  accelerators: IAcceleratorReading[];
  work: { used_bytes: number; size_bytes: number };
}

export type ImageStatus = 'INIT' | 'CREATING' | 'ACTIVE' | 'CREATE_FAILED' | 'ERROR' | 'DELETED';

export interface IImage {
  id: string;
  name: string;
  tag: string;
  description: string;
  owner: string;
  status: ImageStatus;
  status_message: string;
  origin: 'PRESET' | 'IMAGE_SAVE' | 'CUSTOMIZE';
  /** From a Containerfile. */
  built: boolean;
  digest: string | null;
  size: number;
  added: number;
  architectures: string[];
  base_name: string | null;
  outdated: boolean;
  retires_on: string | null;
  instead: string;
  resource_categories: Category[];
  services: string[];
  instance_id: string | null;
  instance_name: string | null;
  progress: { done: number; total: number; message: string; speed: number } | null;
  created_at: Moment;
  updated_at: Moment;
}

export interface IPackage {
  name: string;
  version: string;
}

export interface IPackageChanges {
  added: IPackage[];
  removed: IPackage[];
  changed: { name: string; old: string; new: string }[];
  same: number;
}

/** A folder of an image; size in bytes. */
export interface IImageFolder {
  path: string;
  size: number;
  files: number;
}

/** What a save would put into the image now; sizes in bytes, before compression. */
export interface ISavePreview {
  parent_name: string;
  files: number;
  size: number;
  removed: number;
  packages: IPackageChanges;
  total_packages: number;
  folders: IImageFolder[];
  left_out: { path: string; reason: string; size: number }[];
  left_out_count: number;
}

export interface IImageSave {
  name: string;
  tag: string;
  description: string;
  /** The notebook that is in front. */
  notebook?: string;
  /** Paths in the image whose changes stay out. */
  exclude?: string[];
}

export type Phase =
  'Creating' | 'Pending' | 'Running' | 'Failed' | 'Completed' | 'Terminating' | 'Terminated' | 'Abnormal';

export interface IChannel {
  name: string;
  url: string;
}

export interface IJob {
  id: string;
  number: number;
  name: string;
  description: string;
  owner: string;
  phase: Phase;
  phase_message: string;
  kind: 'notebook' | 'python' | 'shell';
  entry: string;
  bundle: string;
  image_id: string;
  image_name: string;
  flavor: string;
  nodes: number;
  parameters: Record<string, Scalar>;
  environment: Record<string, string>;
  inputs: IChannel[];
  outputs: IChannel[];
  logs: string | null;
  retries: number;
  attempt: number;
  exit_code: number | null;
  progress: { done: number; total: number };
  last_metrics: Record<string, number>;
  instance_id: string | null;
  created_at: Moment;
  updated_at: Moment;
  started_at: Moment | null;
  finished_at: Moment | null;
  duration: number | null;
}

export interface IJobFile {
  path: string;
  size: number;
  modified_at: Moment;
}

export interface IMetricPoint {
  step: number | null;
  at: Moment;
  values: Record<string, number>;
}

export interface IParameter {
  name: string;
  type: string;
  default: Scalar | null;
  help: string;
}

/** The files of a folder that would be sent, with `entry` what they are sent for; sizes in bytes. */
export interface ISent {
  entry: string;
  folder: string;
  name: string;
  files: { path: string; size: number }[];
  total_bytes: number;
  excluded: { path: string; size: number | null; reason: string }[];
  problems: string[];
}

/** What would be sent if the notebook or script at `path` were submitted now. */
export interface ISubmitPreview extends ISent {
  kind: string;
  parameters: IParameter[];
}

/** What a build of an image would send, and the images that its Containerfile names. */
export interface IBuildPreview extends ISent {
  stands_on: string[];
}

export interface IImageBuild {
  /** The Containerfile in the work folder. */
  path: string;
  name: string;
  tag: string;
  description: string;
}

export interface ISubmit {
  path: string;
  name: string;
  description: string;
  image_id: string | null;
  flavor: string | null;
  parameters: Record<string, Scalar>;
  environment: Record<string, string>;
  inputs: IChannel[];
  outputs: IChannel[];
  /** The folder that the log is sent to as well. */
  logs: string | null;
  retries: number;
}

/** A copy between the work folder and object storage, done by the server. */
export interface ITransfer {
  id: string;
  source: string;
  target: string;
  state: 'queued' | 'running' | 'paused' | 'asking' | 'completed' | 'failed' | 'cancelled';
  done: number;
  total: number;
  files: number;
  files_total: number;
  /** Bytes a second, lately; 0 where that is not known. */
  speed: number;
  /** How many targets are there already, while the copy asks what to do with them. */
  conflicts: number;
  /** Why it waits or failed. */
  message: string;
  /** Files that could not be copied, each with the reason. */
  problems: [string, string][];
}

/** What to do with targets that are there already. */
export type OnConflict = 'overwrite' | 'skip' | 'rename';

/** An environment inside the instance; `size` in bytes, `kernel` empty where it has none. */
export interface IEnvironment {
  name: string;
  kind: 'base' | 'venv' | 'conda';
  python: string;
  packages: number;
  size: number;
  source: string;
  kernel: string;
  created_at: Moment | null;
  path: string;
}

/** A file that an environment can be made from; `title` is what it is called where nobody says otherwise. */
export interface IEnvironmentFile {
  name: string;
  title: string;
  kind: 'pip' | 'conda';
  description: string;
  path: string;
}

/** An environment being made; `message` says how far it is, or why it failed. */
export interface IEnvironmentWork {
  id: string;
  verb: 'create' | 'clone';
  name: string;
  state: 'running' | 'completed' | 'failed' | 'cancelled';
  message: string;
  lines: string[];
}

export interface IEnvironments {
  environments: IEnvironment[];
  work: IEnvironmentWork[];
  half_made: string[];
}

export const FINAL_PHASES: ReadonlySet<Phase> = new Set(['Failed', 'Completed', 'Terminated', 'Abnormal']);

/** Where the SSH gateway is; where there is none, `absent` says why. */
export interface ISshGateway {
  host: string;
  port: number;
  host_key: string;
  fingerprint: string;
  absent: string;
}

export interface ISshKey {
  id: string;
  comment: string;
  fingerprint: string;
}

export interface ISshHost {
  instance_id: string;
  instance_name: string;
  folder: string;
}

export interface ISshSession {
  id: string;
  key_id: string;
  key_comment: string;
  address: string;
  since: Moment;
}
