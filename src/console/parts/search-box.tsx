/** A box for what is looked for; its label is for screen readers, as it says in itself what it is. */
import { Icon } from './icon.tsx';

export interface SearchBoxProps {
  /** What is searched: `nodes`, `the log`. */
  readonly what: string;
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly onKeyDown?: (event: KeyboardEvent) => void;
}

export function SearchBox({ what, value, onValue, onKeyDown }: SearchBoxProps) {
  const label = `Search ${what}`;
  return (
    <label class="search">
      <Icon name="search" />
      <span class="visually-hidden">{label}</span>
      <input
        type="search"
        placeholder={label}
        value={value}
        maxLength={200}
        onInput={({ currentTarget }) => onValue(currentTarget.value)}
        {...(onKeyDown ? { onKeyDown } : {})}
      />
    </label>
  );
}
