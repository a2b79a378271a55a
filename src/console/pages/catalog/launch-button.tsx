/** Opens the launch form, or says why it cannot be opened (G-146, G-221). */
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotMember } from '../../lib/session.ts';
import { Button } from '../../parts/button.tsx';

export interface LaunchButtonProps {
  readonly slug: string;
  /** What it is called, for screen readers: several of these buttons are on one page. */
  readonly name: string;
  readonly version: string;
  readonly reasons: readonly string[];
}

export function LaunchButton({ slug, name, version, reasons }: LaunchButtonProps) {
  const why = [whyNotMember(theSession()) ?? [], reasons].flat();
  const label = `Launch ${name} ${version}`;
  if (why.length > 0) {
    return (
      <Button tone="primary" aria-label={label} disabledReason={why.join(' ')}>
        Launch
      </Button>
    );
  }
  return (
    <Link class="button button-primary" aria-label={label} to={`/apps/${slug}/${encodeURIComponent(version)}/launch`}>
      Launch
    </Link>
  );
}

/** One sentence for each thing that stands against a launch. */
export function Reasons({ of }: { readonly of: readonly string[] }) {
  if (of.length === 0) return null;
  return (
    <ul class="reasons" aria-label="Why it cannot be launched">
      {of.map((reason) => (
        <li key={reason}>{reason}</li>
      ))}
    </ul>
  );
}
