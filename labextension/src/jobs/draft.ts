import type { IChannel, IParameter, ISubmit, ISubmitPreview, Scalar } from '../api/models';

export interface INamed {
  name: string;
  value: string;
}

/** What is being filled in for a job that is not submitted yet. Texts are as typed; `submission` gives the values. */
export interface IDraft {
  path: string;
  name: string;
  description: string;
  imageId: string;
  flavor: string;
  /** The text (or tick) of each parameter that is a simple value. */
  parameters: Record<string, string | boolean>;
  inputs: IChannel[];
  outputs: IChannel[];
  /** Where the log goes as well; empty for nowhere. */
  logs: string;
  environment: INamed[];
  retries: string;
}

const NAME = /^[A-Za-z0-9\u4e00-\u9fff][A-Za-z0-9_\-\u4e00-\u9fff]{0,63}$/;
const CHANNEL = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const URL = /^(obs|s3):\/\/[^/]+(\/.*)?$/;

export function isSimple(parameter: IParameter): boolean {
  return ['bool', 'int', 'float', 'str'].includes(parameter.type);
}

export function draftOf(path: string, preview: ISubmitPreview, imageId: string, flavor: string): IDraft {
  const simple = preview.parameters.filter(isSimple);
  return {
    path,
    name: preview.name,
    description: '',
    imageId,
    flavor,
    parameters: Object.fromEntries(simple.map(one => [one.name, textOf(one)])),
    inputs: [],
    outputs: [],
    logs: '',
    environment: [],
    retries: '0'
  };
}

function textOf(parameter: IParameter): string | boolean {
  if (parameter.type === 'bool') {
    return parameter.default === true;
  }
  return parameter.default === null ? '' : String(parameter.default);
}

/** The value of one parameter, undefined where it is left empty, null where the text is none of its type. */
export function parameterValue(parameter: IParameter, text: string | boolean): Scalar | undefined | null {
  if (typeof text === 'boolean') {
    return text;
  }
  if (parameter.type === 'str') {
    return text === '' && parameter.default === null ? undefined : text;
  }
  const trimmed = text.trim();
  if (trimmed === '') {
    return undefined;
  }
  const isNumber = parameter.type === 'int' ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  return isNumber.test(trimmed) ? Number(trimmed) : null;
}

/** Which fields cannot be submitted as they are, by their names: `name`, `retries`, `parameter:x`, `inputs:0` … */
export function invalidFields(draft: IDraft, preview: ISubmitPreview): Set<string> {
  const invalid = new Set<string>();
  const check = (field: string, fine: boolean) => !fine && invalid.add(field);
  check('name', NAME.test(draft.name));
  check('retries', /^\d{1,3}$/.test(draft.retries) && Number(draft.retries) <= 128);
  for (const parameter of preview.parameters.filter(isSimple)) {
    check(`parameter:${parameter.name}`, parameterValue(parameter, draft.parameters[parameter.name] ?? '') !== null);
  }
  for (const kind of ['inputs', 'outputs'] as const) {
    draft[kind].forEach((channel, index) => {
      check(`${kind}:${index}`, isBlank(channel) || (CHANNEL.test(channel.name) && URL.test(channel.url)));
    });
  }
  check('logs', draft.logs === '' || URL.test(draft.logs));
  draft.environment.forEach((variable, index) => {
    check(`environment:${index}`, isBlank(variable) || CHANNEL.test(variable.name));
  });
  return invalid;
}

/** Whether nothing was filled into a row: it is left out. */
function isBlank(row: INamed | IChannel): boolean {
  return Object.values(row).every(text => text === '');
}

/** The request for a draft without invalid fields. */
export function submission(draft: IDraft, preview: ISubmitPreview): ISubmit {
  const values = preview.parameters
    .filter(isSimple)
    .map((one): [string, unknown] => [one.name, parameterValue(one, draft.parameters[one.name] ?? '')]);
  return {
    path: draft.path,
    name: draft.name,
    description: draft.description,
    image_id: draft.imageId || null,
    flavor: draft.flavor || null,
    parameters: Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Record<string, Scalar>,
    environment: Object.fromEntries(
      draft.environment.filter(row => !isBlank(row)).map(({ name, value }) => [name, value])
    ),
    inputs: draft.inputs.filter(row => !isBlank(row)),
    outputs: draft.outputs.filter(row => !isBlank(row)),
    logs: draft.logs || null,
    retries: Number(draft.retries)
  };
}
