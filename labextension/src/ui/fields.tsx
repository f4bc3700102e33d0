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

/** One field of a form: its label, what is filled in, and what is said about it. */
export function Field(props: React.PropsWithChildren<IFieldProps>): JSX.Element {
  const { label, hint, wrong, className, title, children } = props;
  return (
    <label className={className ? `mlp-field ${className}` : 'mlp-field'} title={title}>
      <span>{label}</span>
      {children}
      {wrong && <span className="mlp-invalid">{wrong}</span>}
      {hint && <span className="mlp-faint">{hint}</span>}
    </label>
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
      <input
        className="jp-mod-styled"
        spellCheck={false}
        aria-invalid={Boolean(field.wrong)}
        {...input}
        value={value}
        onChange={event => change(event.target.value)}
      />
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
      <HTMLSelect value={value} onChange={event => change(event.target.value)}>
        {children}
      </HTMLSelect>
    </Field>
  );
}
