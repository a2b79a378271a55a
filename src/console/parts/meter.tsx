/** How much of something is taken, as a bar and in words. */
export interface MeterProps {
  readonly label: string;
  readonly used: number;
  readonly total: number;
  /** For example `cores` or `GiB`. */
  readonly unit: string;
}

export function Meter({ label, used, total, unit }: MeterProps) {
  const share = total > 0 ? Math.min(1, used / total) : 0;
  const words = `${round(used)} of ${round(total)} ${unit} in use`;
  return (
    <div class="meter">
      <div class="meter-words">
        <span>{label}</span>
        <span class="muted">{words}</span>
      </div>
      <div class="meter-bar" aria-hidden="true">
        <div class={share > 0.9 ? 'meter-full' : undefined} style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}

function round(amount: number): number {
  return Math.round(amount * 10) / 10;
}
