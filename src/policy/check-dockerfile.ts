/**
 * The second function for builds: what the gate asks of a Dockerfile. It takes the form of `renderDockerfile` and nothing
 * else, so that no two programs can read it in different ways, and trusts nobody who has written it.
 */
import type { PathError } from '../contract/validate.ts';
import { LabelLengths } from './dockerfile-labels.ts';
import { controlCharacter, hasHereDocument, maxLineBytes } from './dockerfile-lines.ts';
import { ValueLengths } from './dockerfile-values.ts';
import type { AllowedRegistry } from './host-policy.ts';
import { readAllowedImage } from './image-reference.ts';

export interface CheckedDockerfile {
  /** Images it names, by digest, each once. */
  readonly bases: readonly string[];
  /** Paths are `/dockerfile/LINE`, counted from 1. */
  readonly errors: readonly PathError[];
}

const keywords =
  'ARG|CMD|COPY|ENTRYPOINT|ENV|FROM|HEALTHCHECK|LABEL|MAINTAINER|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR';
const form = new RegExp(`^(${keywords}) (\\S(?:.*\\S)?)$`);
/** A builder ends a word at each byte that is a space in Latin-1 and knows quotes: so flags have characters for which that is the same. */
const copy = /^(?:--from=([a-zA-Z0-9][\w./:@-]*) )?(?:--chown=[\w.:-]+ )?(?!-)\S/;

export function checkDockerfile(text: string, registries: readonly AllowedRegistry[]): CheckedDockerfile {
  const lines = text.endsWith('\n') ? text.slice(0, -1).split('\n') : [];
  const bases = new Set<string>();
  const errors: PathError[] = [];
  let stages = 0;
  lines.forEach((line, index) => {
    const path = `/dockerfile/${index + 1}`;
    const judged = judgeLine(line, stages);
    if (/^FROM /.test(line)) stages += 1;
    if (judged.wrong) errors.push({ path, code: judged.wrong[0], message: judged.wrong[1] });
    if (judged.image === undefined) return;
    const read = readAllowedImage(judged.image, registries);
    if (read.ok) bases.add(judged.image);
    else errors.push({ path, code: read.code, message: `names an image that is refused: ${read.reason}` });
  });
  if (stages === 0)
    errors.push({ path: '/dockerfile', code: 'form', message: 'is no Dockerfile in the form of a host' });
  return { bases: [...bases], errors };
}

/**
 * Values that may become too long on images that set these variables, as `NAME=value`, or that a builder may read otherwise. Without
 * `env`: on images that set what is usual.
 */
export function checkValues(text: string, env?: readonly string[]): PathError[] {
  const lengths = new ValueLengths(env);
  return text.split('\n').flatMap((line, index) => {
    const message = lengths.add(...splitKeyword(line));
    return message === undefined ? [] : [{ path: `/dockerfile/${index + 1}`, code: 'value', message }];
  });
}

/** Labels that are too many or too long. `inherited`: bytes of those that an image of it has, at most. */
export function checkLabels(text: string, env: readonly string[] | undefined, inherited: number): PathError[] {
  const lengths = new ValueLengths(env);
  const labels = new LabelLengths();
  const lines = text.trimEnd().split('\n').map(splitKeyword);
  const errors = lines.flatMap(([keyword, rest], index) => {
    // What it holds has been judged.
    lengths.add(keyword, rest);
    const message = keyword === 'LABEL' ? labels.add(rest, lengths.lengthOf(rest)) : undefined;
    return message === undefined ? [] : [{ path: `/dockerfile/${index + 1}`, code: 'label', message }];
  });
  const message = labels.onLayers(lines.length, inherited);
  return message === undefined ? errors : [...errors, { path: '/dockerfile', code: 'label', message }];
}

function splitKeyword(line: string): [keyword: string, rest: string] {
  const end = line.indexOf(' ');
  return [line.slice(0, end), line.slice(end + 1)];
}

interface Judged {
  /** Code and message. */
  readonly wrong?: readonly [string, string];
  /** An image that the line names. */
  readonly image?: string;
}

/** `stages`: how many have begun before this line. */
function judgeLine(line: string, stages: number): Judged {
  const [, keyword, rest = ''] = form.exec(line) ?? [];
  if (keyword === undefined || controlCharacter.test(line) || rest.endsWith('\\')) {
    return { wrong: ['form', 'is no instruction on a line of its own'] };
  }
  if (Buffer.byteLength(line) > maxLineBytes) {
    return { wrong: ['too_long', `becomes a line of more than ${maxLineBytes} bytes, which no builder reads`] };
  }
  if (keyword === 'FROM') return judgeFrom(rest, stages);
  if (stages === 0) return { wrong: ['order', 'stands before the first FROM'] };
  if (hasHereDocument(keyword, rest)) return { wrong: ['heredoc', 'has a here-document'] };
  if (keyword === 'RUN' && rest.startsWith('--')) return { wrong: ['flag', 'has a flag'] };
  return keyword === 'COPY' ? judgeCopy(rest, stages - 1) : {};
}

function judgeFrom(rest: string, stages: number): Judged {
  const [, base = '', own] = /^(\S+) AS stage(\d+)$/.exec(rest) ?? [];
  if (own !== String(stages)) return { wrong: ['from', 'does not name the stages in their order'] };
  return base === 'scratch' ? {} : judgeOrigin(base, stages);
}

function judgeCopy(rest: string, stages: number): Judged {
  const words = copy.exec(rest);
  if (!words) return { wrong: ['flag', 'has a flag that is not offered'] };
  const [, from] = words;
  return from === undefined ? {} : judgeOrigin(from, stages);
}

/** One of the first `stages` stages, or an image. */
function judgeOrigin(name: string, stages: number): Judged {
  const index = /^stage(\d+)$/.exec(name)?.[1];
  if (index === undefined) return { image: name };
  const isBefore = String(Number(index)) === index && Number(index) < stages;
  return isBefore ? {} : { wrong: ['from', 'names a stage that is not before it'] };
}
