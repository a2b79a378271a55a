/** An explanation as a person reads it at night: what it is now, what led here with lengths of time, what to do next. */
import type { Explanation, TimelineEntry } from '../agent/explain/explanation.ts';
import { oneLine } from './printable.ts';
import { lengthOf } from './words.ts';

const marks = { info: ' ', warn: '?', error: '!' } as const;

export function explanationText(explanation: Explanation): string {
  const { subject, state, summary, failure, timeline, notes, next } = explanation;
  const name = subject.name === null ? '' : ` (${subject.name})`;
  return [
    oneLine(`${subject.kind} ${subject.id}${name}: ${state.replaceAll('_', ' ')}`),
    oneLine(failure ? `${summary} [${failure.code}]` : summary),
    ...days(timeline),
    '',
    ...notes.map((note) => oneLine(`note: ${note}`)),
    ...whereTimeWent(timeline),
    oneLine(`What to do next: ${next}`),
  ].join('\n');
}

/** By day, all in UTC: the machine may be anywhere, and so may whoever reads this. */
function days(timeline: readonly TimelineEntry[]): string[] {
  const lines: string[] = [];
  let day = '';
  for (const entry of timeline) {
    const date = entry.time.slice(0, 10);
    if (date !== day) {
      lines.push('', `${date} UTC`);
      day = date;
    }
    lines.push(...linesOf(entry));
  }
  return timeline.length === 0 ? ['', 'Nothing is known of what happened.'] : lines;
}

function linesOf({ time, source, level, title, details, duration_ms }: TimelineEntry): string[] {
  const took = duration_ms === null ? '' : `  (${lengthOf(duration_ms)})`;
  return [
    oneLine(`${clockTime(time)}  ${source.padEnd(10)} ${marks[level]} ${title}${took}`),
    ...details.map((detail) => `${' '.repeat(27)}${oneLine(detail)}`),
  ];
}

/** With milliseconds, whatever digits the source has. */
function clockTime(time: string): string {
  return new Date(time).toISOString().slice(11, 23);
}

/** Only where there is more than one phase to compare. */
function whereTimeWent(timeline: readonly TimelineEntry[]): string[] {
  const phases = timeline.flatMap(({ title, duration_ms }) => {
    const phase = /^The workload was ([a-z ]+)\.$/.exec(title)?.[1];
    return phase !== undefined && duration_ms !== null ? [{ phase, ms: duration_ms }] : [];
  });
  const total = phases.reduce((sum, { ms }) => sum + ms, 0);
  return phases.length < 2
    ? []
    : [`time: ${phases.map(({ phase, ms }) => `${phase} ${lengthOf(ms)}`).join(', ')}; ${lengthOf(total)} in all`];
}
