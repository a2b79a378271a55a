/** A button that says why it cannot be pressed, instead of only being grey. */
import type { ComponentChildren, JSX } from 'preact';
import { useId } from 'preact/hooks';
import { Icon, type IconName } from './icon.tsx';

export interface ButtonProps extends Omit<JSX.IntrinsicElements['button'], 'disabled' | 'icon'> {
  readonly tone?: 'plain' | 'primary' | 'danger' | 'quiet';
  readonly icon?: IconName;
  /** Something is on its way: it cannot be pressed again meanwhile. */
  readonly busy?: boolean;
  /** Why it cannot be pressed, as a tooltip and for screen readers; it stays in the order of the Tab key. */
  readonly disabledReason?: string | undefined;
  readonly children?: ComponentChildren;
}

export function Button({
  tone = 'plain',
  icon,
  busy = false,
  disabledReason,
  children,
  onClick,
  type = 'button',
  ...rest
}: ButtonProps) {
  const id = useId();
  const isOff = busy || disabledReason !== undefined;
  return (
    <>
      <button
        {...rest}
        type={type}
        class={`button button-${tone} ${rest.class ?? ''}`}
        aria-disabled={isOff ? 'true' : undefined}
        aria-busy={busy ? 'true' : undefined}
        aria-describedby={disabledReason === undefined ? rest['aria-describedby'] : id}
        title={disabledReason ?? rest.title}
        onClick={(event) => {
          if (isOff) event.preventDefault();
          else onClick?.(event);
        }}
      >
        {busy ? <span class="spinner" aria-hidden="true" /> : icon && <Icon name={icon} />}
        {children}
      </button>
      {disabledReason !== undefined && (
        <span id={id} class="visually-hidden">
          {disabledReason}
        </span>
      )}
    </>
  );
}
