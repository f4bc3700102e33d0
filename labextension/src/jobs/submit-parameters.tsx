import * as React from 'react';
import type { IParameter } from '../api/models';
import { useTrans } from '../ui/context';
import { Field, TextField } from '../ui/fields';
import { isSimple } from './draft';
import type { IEditProps } from './submit-form';

/** The parameters found in the notebook, each as a field of its type. */
export function ParameterFields(props: IEditProps): JSX.Element | null {
  const trans = useTrans();
  const parameters = props.preview.parameters.filter(isSimple);
  if (parameters.length === 0) {
    return null;
  }
  return (
    <fieldset className="mlp-parameters">
      <legend>{trans.__('Parameters')}</legend>
      <div className="mlp-parameter-grid">
        {parameters.map(parameter => (
          <ParameterField key={parameter.name} {...props} parameter={parameter} />
        ))}
      </div>
    </fieldset>
  );
}

function ParameterField(props: IEditProps & { parameter: IParameter }): JSX.Element {
  const trans = useTrans();
  const { parameter, draft, invalid, set } = props;
  const { name, help } = parameter;
  const value = draft.parameters[name] ?? '';
  const change = (text: string | boolean) => set({ parameters: { ...draft.parameters, [name]: text } });
  if (typeof value === 'boolean') {
    return (
      <Field label={name} className="mlp-mod-check" title={help || undefined}>
        {ties => <input type="checkbox" {...ties} checked={value} onChange={event => change(event.target.checked)} />}
      </Field>
    );
  }
  const why = parameter.type === 'int' ? trans.__('Give a whole number.') : trans.__('Give a number.');
  return (
    <TextField
      label={name}
      title={help || undefined}
      value={value}
      change={change}
      input={{
        inputMode: parameter.type === 'str' ? 'text' : 'decimal',
        placeholder: parameter.default === null ? trans.__('none') : String(parameter.default)
      }}
      wrong={invalid.has(`parameter:${name}`) && why}
    />
  );
}
