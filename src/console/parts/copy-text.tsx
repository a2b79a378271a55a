/** A command or an id to copy, whole even where it is shown short. */
import { useState } from 'preact/hooks';
import { Button } from './button.tsx';
import { announce } from './status-region.tsx';

export interface CopyTextProps {
  readonly text: string;
  /** What is shown instead of it, for example a short digest. */
  readonly shown?: string;
  /** What is copied, for screen readers: `the digest`. */
  readonly what: string;
  /** A line of its own, for commands. */
  readonly block?: boolean;
}

export function CopyText({ text, shown = text, what, block = false }: CopyTextProps) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    const ok = await copyToClipboard(text);
    setCopied(ok);
    announce(ok ? `Copied ${what}.` : `The browser did not let ${what} be copied; select the text instead.`);
  };
  return (
    <span class={block ? 'copy copy-block' : 'copy'}>
      <code title={shown === text ? undefined : text}>{shown}</code>
      <Button
        tone="quiet"
        class="copy-button"
        icon={isCopied ? 'check' : 'copy'}
        aria-label={`Copy ${what}`}
        title={isCopied ? 'Copied' : `Copy ${what}`}
        onClick={copy}
        onBlur={() => setCopied(false)}
      />
    </span>
  );
}

/** The clipboard is there in secure pages only; a console behind plain HTTP on a name of its own has the old way. */
async function copyToClipboard(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const ok = document.execCommand('copy');
  area.remove();
  return ok;
}
