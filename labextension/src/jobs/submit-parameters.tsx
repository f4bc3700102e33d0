import * as React from 'react';
import type { IParameter } from '../api/models';
import { useTrans } from '../ui/context';
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
  const wrong = invalid.has(`parameter:${name}`);
  return (
    <label className={typeof value === 'boolean' ? 'mlp-field mlp-mod-check' : 'mlp-field'} title={help || undefined}>
      <span>{name}</span>
      {typeof value === 'boolean' ? (
        <input type="checkbox" checked={value} onChange={event => change(event.target.checked)} />
      ) : (
        <input
          className="jp-mod-styled"
          inputMode={parameter.type === 'str' ? 'text' : 'decimal'}
          value={value}
          aria-invalid={wrong}
          placeholder={parameter.default === null ? trans.__('none') : String(parameter.default)}
          onChange={event => change(event.target.value)}
        />
      )}
      {wrong && (
        <span className="mlp-invalid">
          {parameter.type === 'int' ? trans.__('Give a whole number.') : trans.__('Give a number.')}
        </span>
      )}
    </label>
  );
}
