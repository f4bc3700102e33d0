import { HTMLSelect } from '@jupyterlab/ui-components';
import * as React from 'react';

interface IFieldProps {
  label: React.ReactNode;
  /** What may help to fill it in. */
  hint?: string;
  /** What is wrong with it now. */
  wrong?: string | false;
  className?: string;
  title?: string;
}

/** What ties an input to its label and to what is said about it. */
interface ITies {
  id: string;
  'aria-describedby'?: string;
  'aria-invalid': boolean;
}

/** One field of a form: its label, what is filled in, and what is said about it. */
export function Field(props: IFieldProps & { children: (ties: ITies) => JSX.Element }): JSX.Element {
  const { label, hint, wrong, className, title, children } = props;
  const id = React.useId();
  const words = wrong || hint ? `${id}-words` : undefined;
  return (
    <div className={className ? `mlp-field ${className}` : 'mlp-field'} title={title}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': words, 'aria-invalid': Boolean(wrong) })}
      {words && (
        <div id={words} className="mlp-field-words">
          {wrong && <span className="mlp-invalid">{wrong}</span>}
          {hint && <span className="mlp-faint">{hint}</span>}
        </div>
      )}
    </div>
  );
}

interface ITextFieldProps extends IFieldProps {
  value: string;
  change: (value: string) => void;
  /** More of the input: a placeholder, a longest length. */
  input?: React.InputHTMLAttributes<HTMLInputElement>;
}

export function TextField({ value, change, input, ...field }: ITextFieldProps): JSX.Element {
  return (
    <Field {...field}>
      {ties => (
        <input
          className="jp-mod-styled"
          spellCheck={false}
          {...ties}
          {...input}
          value={value}
          onChange={event => change(event.target.value)}
        />
      )}
    </Field>
  );
}

interface IChoiceFieldProps extends IFieldProps {
  value: string;
  change: (value: string) => void;
}

/** A field with a list of `option`s, its children. */
export function ChoiceField(props: React.PropsWithChildren<IChoiceFieldProps>): JSX.Element {
  const { value, change, children, ...field } = props;
  return (
    <Field {...field}>
      {ties => (
        <HTMLSelect {...ties} value={value} onChange={event => change(event.target.value)}>
          {children}
        </HTMLSelect>
      )}
    </Field>
  );
}
