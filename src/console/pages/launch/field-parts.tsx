/** The fields of a form: parameters of the app, and the secrets that people bring. */

import { textOfValue } from '../../../manifests/gpuaas/field-text.ts';
import type { SecretAnswer } from '../../../manifests/gpuaas/form-answers.ts';
import type { FormField, FormSecret } from '../../../manifests/gpuaas/form-model.ts';
import { splitPackages } from '../../../manifests/gpuaas/split-packages.ts';
import { Button } from '../../parts/button.tsx';
import { Select, TextArea, TextInput } from '../../parts/field.tsx';
import type { Named, Offers } from './offers.ts';
import { RadioCards } from './radio-cards.tsx';
import { choiceWords } from './words.ts';

/** As many choices stand beside each other; more are in a list. */
const fewChoices = 4;

export interface ParameterFieldProps {
  readonly field: FormField;
  readonly required: boolean;
  readonly value: unknown;
  /** What is typed, where somebody has. */
  readonly text: string | undefined;
  readonly error: string | undefined;
  readonly offers: Offers;
  readonly onText: (text: string) => void;
}

export function ParameterField(props: ParameterFieldProps) {
  const { field, required, value, text = textOfValue(value), error, offers, onText } = props;
  const { label, options } = field;
  const common = { label, required, error, value: text, onValue: onText, name: field.name };
  switch (field.control) {
    case 'select':
      return options && options.length <= fewChoices ? <FewChoices {...props} /> : <ManyChoices {...props} />;
    case 'switch':
      return <Select {...common} hint={field.help} choices={[...(text === '' ? [unset] : []), ...onOrOff]} />;
    case 'text_area':
      return <TextArea {...common} hint={<AreaHint field={field} text={text} />} />;
    case 'text':
      return <TextInput {...common} hint={field.help} placeholder={placeholderOf(field)} />;
    default:
      return (
        <>
          <TextInput
            {...common}
            hint={numberHint(field, offers)}
            placeholder={placeholderOf(field)}
            inputMode={field.control === 'integer' ? 'numeric' : 'decimal'}
          />
          <FreePort {...props} />
        </>
      );
  }
}

const unset = { value: '', label: 'Choose' };
const onOrOff = [
  { value: 'true', label: 'On' },
  { value: 'false', label: 'Off' },
];

function FewChoices({ field, required, text, value, error, offers, onText }: ParameterFieldProps) {
  const cards = (field.options ?? []).map((option) => {
    const { title, meaning } = choiceWords(option);
    return { value: String(option), title, detail: meaning, reasons: reasonsOf(field, option, offers) };
  });
  const chosen = text ?? (value === undefined ? undefined : textOfValue(value));
  const { label, help } = field;
  return <RadioCards {...{ label, required, error, cards }} hint={help} value={chosen} onPick={onText} />;
}

function ManyChoices({ field, required, text, value, error, offers, onText }: ParameterFieldProps) {
  const choices = (field.options ?? []).map((option) => ({
    value: String(option),
    label: choiceWords(option).title,
    disabledReason: reasonsOf(field, option, offers)[0],
  }));
  const shown = text ?? textOfValue(value);
  const isUnset = shown === '' && !choices.some((choice) => choice.value === '');
  const { label, help, name } = field;
  return (
    <Select
      {...{ label, required, error, name }}
      hint={help}
      value={shown}
      choices={isUnset ? [unset, ...choices] : choices}
      onValue={onText}
    />
  );
}

function reasonsOf({ pointer }: FormField, option: string | number, { unavailable = [] }: Offers): string[] {
  return unavailable.filter((each) => each.pointer === pointer && each.value === option).map(({ reason }) => reason);
}

function placeholderOf({ default: standard, help }: FormField): string {
  return standard === null || standard === '' ? (help === null ? '' : '') : `default: ${standard}`;
}

/** Help of the manifest, and between which bounds it may be. */
function numberHint({ help, minimum, maximum, pointer, default: standard }: FormField, { host_ports: ports }: Offers) {
  const bounds =
    minimum !== null && maximum !== null
      ? `From ${minimum} to ${maximum}.`
      : minimum !== null
        ? `At least ${minimum}.`
        : maximum !== null
          ? `At most ${maximum}.`
          : '';
  const free = ports?.suggested[pointer];
  const isTaken = typeof standard === 'number' && ports?.taken.includes(standard);
  const taken = isTaken && free !== undefined ? `${standard} is taken on this allocation; ${free} is free.` : '';
  return [help, bounds, taken].filter((part) => part).join(' ');
}

/** A port that is taken can be left for a free one with one press. */
function FreePort({ field, value, offers, onText }: ParameterFieldProps) {
  const free = offers.host_ports?.suggested[field.pointer];
  const isTaken = offers.host_ports?.taken.includes(Number(value)) && free !== undefined;
  if (!isTaken) return null;
  return (
    <p class="field-help">
      <Button onClick={() => onText(String(free))}>Use {free}</Button>
    </p>
  );
}

function AreaHint({ field, text }: { readonly field: FormField; readonly text: string }) {
  if (field.name !== 'python_packages') return <>{field.help}</>;
  const { tokens, errors } = splitPackages(text);
  const example = 'Requirements such as numpy==2.4.4 pandas>=2.2, between spaces or on lines of their own.';
  return (
    <>
      {field.help ?? example}
      {tokens.length > 0 && errors.length === 0 && (
        <span class="tokens">
          {tokens.map((token) => (
            <code key={token}>{token}</code>
          ))}
        </span>
      )}
    </>
  );
}

export interface SecretFieldProps {
  readonly secret: FormSecret;
  readonly required: boolean;
  readonly answer: SecretAnswer | undefined;
  readonly error: string | undefined;
  readonly stored: readonly Named[];
  readonly onSecret: (answer: SecretAnswer | undefined) => void;
}

/** A secret: typed, which is kept nowhere, or one that the project keeps. Nothing of either is ever shown. */
export function SecretField({ secret, required, answer, error, stored, onSecret }: SecretFieldProps) {
  const isStored = typeof answer === 'object';
  const typed = (
    <TextInput
      label={secret.label}
      hint={[secret.help, 'It is sealed for the host and never shown again.'].filter((part) => part).join(' ')}
      {...{ error, required }}
      type="password"
      value={typeof answer === 'string' ? answer : ''}
      onValue={(text) => onSecret(text === '' ? undefined : text)}
    />
  );
  if (stored.length === 0) return typed;
  return (
    <>
      <Select
        label={`${secret.label}: where it comes from`}
        required={required}
        value={isStored ? answer.credential_id : ''}
        choices={[
          { value: '', label: 'I type it' },
          ...stored.map(({ id, name }) => ({ value: id, label: `Stored credential ${name}` })),
        ]}
        onValue={(id) => onSecret(id === '' ? undefined : { credential_id: id })}
      />
      {!isStored && typed}
    </>
  );
}
