/** One thing of a few, each with what is worth knowing; what cannot be had says why, in plain sight. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { Icon } from '../../parts/icon.tsx';

export interface RadioCard {
  readonly value: string;
  readonly title: ComponentChildren;
  readonly detail?: ComponentChildren;
  /** Why it cannot be had, one sentence each. */
  readonly reasons?: readonly string[];
}

export interface RadioCardsProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly error?: string | undefined;
  readonly required: boolean;
  readonly value: string | undefined;
  readonly cards: readonly RadioCard[];
  readonly onPick: (value: string) => void;
}

/** Characters of a title that four of them have room for in a row. */
const shortTitle = 16;

export function RadioCards({ label, hint, error, required, value, cards, onPick }: RadioCardsProps) {
  const id = useId();
  // Words without more to say stand side by side.
  const isWords = cards.every(({ detail, reasons = [] }) => !detail && reasons.length === 0);
  const isShort = cards.every(({ title }) => typeof title === 'string' && title.length <= shortTitle);
  const look = isWords ? (isShort ? 'is-short' : 'is-words') : '';
  const described = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter((each) => each !== '').join(' ');
  return (
    <div
      class="radio-cards"
      role="radiogroup"
      aria-labelledby={`${id}-label`}
      aria-describedby={described || undefined}
      aria-invalid={error ? 'true' : undefined}
      aria-required={required ? 'true' : undefined}
    >
      <p id={`${id}-label`} class="radio-cards-label">
        {label}
        {!required && <span class="field-optional"> (optional)</span>}
      </p>
      {hint && (
        <p id={`${id}-hint`} class="field-hint">
          {hint}
        </p>
      )}
      <div class={`radio-cards-list ${look}`}>
        {cards.map((card) => (
          <Card key={card.value} {...card} group={id} isChosen={card.value === value} onPick={onPick} />
        ))}
      </div>
      {error && (
        <p id={`${id}-error`} class="field-error">
          {error}
        </p>
      )}
    </div>
  );
}

interface CardProps extends RadioCard {
  readonly group: string;
  readonly isChosen: boolean;
  readonly onPick: (value: string) => void;
}

function Card({ value, title, detail, reasons = [], group, isChosen, onPick }: CardProps) {
  const isOff = reasons.length > 0;
  return (
    <label class={`radio-card ${isChosen ? 'is-chosen' : ''} ${isOff ? 'is-off' : ''}`}>
      <input
        type="radio"
        name={group}
        value={value}
        checked={isChosen}
        disabled={isOff && !isChosen}
        onChange={() => onPick(value)}
      />
      <span class="radio-card-text">
        <span class="radio-card-title">{title}</span>
        {detail && <span class="radio-card-detail">{detail}</span>}
        {reasons.map((reason) => (
          <span key={reason} class="radio-card-reason">
            <Icon name="lock" />
            {reason}
          </span>
        ))}
      </span>
    </label>
  );
}
