/** Pieces of forms: a control with its label, what it is for, and what is wrong with it, all known to screen readers. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface Described {
  readonly label: string;
  readonly hint?: ComponentChildren;
  /** What is wrong with the value. */
  readonly error?: string | undefined;
}

/** What a control takes over, so that its label, hint and error belong to it. */
export interface ControlAttributes {
  readonly id: string;
  readonly 'aria-describedby': string | undefined;
  readonly 'aria-invalid': 'true' | undefined;
}

export interface FieldProps extends Described {
  readonly required?: boolean;
  readonly children: (control: ControlAttributes) => ComponentChildren;
}

export function Field({ label, hint, error, required = false, children }: FieldProps) {
  const id = useId();
  const described = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter((each) => each !== '').join(' ');
  return (
    <div class="field">
      <label for={id}>
        {label}
        {!required && <span class="field-optional"> (optional)</span>}
      </label>
      {hint && (
        <p id={`${id}-hint`} class="field-hint">
          {hint}
        </p>
      )}
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': error ? 'true' : undefined })}
      {error && (
        <p id={`${id}-error`} class="field-error">
          {error}
        </p>
      )}
    </div>
  );
}

/** What a control of ours may be given beside its value. */
interface Native {
  readonly name?: string;
  readonly placeholder?: string;
  readonly maxLength?: number;
  readonly autofocus?: boolean;
  /** Default true: what may be left empty says so. */
  readonly required?: boolean;
}

interface NativeInput extends Native {
  readonly type?: 'text' | 'password' | 'number';
  readonly inputMode?: 'numeric' | 'decimal' | 'text';
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly step?: number | 'any';
}

interface Valued {
  readonly value: string;
  readonly onValue: (value: string) => void;
}

export function TextInput({
  label,
  hint,
  error,
  value,
  onValue,
  type = 'text',
  ...rest
}: Described & Valued & NativeInput) {
  return (
    <Field {...{ label, hint, error }} required={rest.required !== false}>
      {(control) => (
        <input
          // Its types are told apart by roles that none of ours sets.
          type={type as 'text'}
          autocomplete="off"
          spellcheck={false}
          {...rest}
          {...control}
          value={value}
          onInput={({ currentTarget }) => onValue(currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function TextArea({ label, hint, error, value, onValue, ...rest }: Described & Valued & Native) {
  return (
    <Field {...{ label, hint, error }} required={rest.required !== false}>
      {(control) => (
        <textarea
          rows={3}
          {...rest}
          {...control}
          value={value}
          onInput={({ currentTarget }) => onValue(currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** An option that cannot be had says why. */
export interface Choice {
  readonly value: string;
  readonly label: string;
  readonly disabledReason?: string | undefined;
}

interface Choosing extends Valued {
  readonly choices: readonly Choice[];
}

export function Select({ label, hint, error, value, onValue, choices, ...rest }: Described & Choosing & Native) {
  return (
    <Field {...{ label, hint, error }} required={rest.required !== false}>
      {(control) => (
        <select {...rest} {...control} value={value} onChange={({ currentTarget }) => onValue(currentTarget.value)}>
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value} disabled={choice.disabledReason !== undefined}>
              {choice.disabledReason === undefined ? choice.label : `${choice.label} — ${choice.disabledReason}`}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** A filter above a list: its label is for screen readers, as its first choice says what it is. */
export function Filter({ label, value, onValue, choices }: Choosing & { readonly label: string }) {
  return (
    <select
      class="filter"
      aria-label={label}
      value={value}
      onChange={({ currentTarget }) => onValue(currentTarget.value)}
    >
      {choices.map((choice) => (
        <option key={choice.value} value={choice.value}>
          {choice.label}
        </option>
      ))}
    </select>
  );
}
