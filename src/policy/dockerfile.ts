/**
 * The Dockerfile of an author: read strictly, and written anew in the one form that the gate takes.
 *
 *   author's text ─▶ readDockerfile ─▶ bases, to be resolved at push ─▶ renderDockerfile ─▶ the gate: checkDockerfile
 *
 * Read here are continuations, comments, stages and values of ARGs in `FROM`; what is left to the builder is kept as it was
 * written. Stages that nothing needs are left out. Of what only newer builders know, nothing is taken.
 */
import { posix } from 'node:path';
import { type BuildImage, maxBases } from '../contract/job-build.ts';
import { pointerToken } from '../contract/pointer.ts';
import { LabelLengths } from './dockerfile-labels.ts';
import {
  controlCharacter,
  type DockerfileError,
  type Instruction,
  isOneLine,
  maxErrors,
  readInstructions,
} from './dockerfile-lines.ts';
import { assigned, ValueLengths } from './dockerfile-values.ts';
import { expand, maxValueLength, quoted, splitWords } from './dockerfile-words.ts';

/** Where a stage begins, or files are copied from. */
type Origin =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'stage'; readonly index: number }
  | { readonly kind: 'image'; readonly name: string };

interface StageLine {
  /** As its author wrote it, counted from 1. */
  readonly line: number;
  readonly keyword: string;
  readonly text: string;
  /** Of COPY alone. */
  readonly from?: Origin;
}

interface Stage {
  /** Of its FROM. */
  readonly line: number;
  readonly base: Origin;
  readonly lines: StageLine[];
  readonly names: string[];
}

export interface Dockerfile {
  readonly stages: readonly Stage[];
  /** Images it names, after the values of ARGs were put in, each once. */
  readonly bases: readonly string[];
  /** The one that its last stage stands on, also by others; undefined for `scratch`. */
  readonly root: string | undefined;
  /** Names that an ENV sets in its last stage, or in one that this begins with. */
  readonly env: ReadonlySet<string>;
  /** Names of its ARGs, those of stages that nothing needs among them. */
  readonly args: ReadonlySet<string>;
}

/** What nothing is written in. */
export const emptyDockerfile: Dockerfile = {
  ...{ stages: [{ line: 1, base: { kind: 'scratch' }, lines: [], names: [] }], bases: [], root: undefined },
  ...{ env: new Set(), args: new Set() },
};

export type ReadDockerfile =
  | { readonly ok: true; readonly dockerfile: Dockerfile }
  | { readonly ok: false; readonly errors: readonly DockerfileError[] };

export interface DockerfileWish {
  readonly args?: Readonly<Record<string, string>>;
  /** Name or number of the stage to build; the last if absent. */
  readonly target?: string | undefined;
}

/** Everything that is wrong is told at once. */
export function readDockerfile(text: string, { args = {}, target }: DockerfileWish = {}): ReadDockerfile {
  const { instructions, errors } = readInstructions(text);
  for (const [name, value] of Object.entries(args)) {
    if (isOneLine(value)) continue;
    errors.push({ line: 1, code: 'character', message: `is of a file whose ARG ${name} gets what is no line of text` });
  }
  const reader = new Reader(new Map(Object.entries(args)), errors);
  for (const instruction of instructions) reader.read(instruction);
  const stages = reader.stages;
  if (stages.length === 0) errors.push({ line: 1, code: 'no_stage', message: 'is of a file without FROM' });
  const last = target === undefined ? stages.length - 1 : stageNamed(target, stages);
  if (target !== undefined && last === undefined) {
    errors.push({ line: 1, code: 'unknown_stage', message: `is of a file without a stage ${target}` });
  }
  if (errors.length > 0) return { ok: false, errors: errors.toSorted((one, other) => one.line - other.line) };
  const dockerfile = { ...only(stages, last ?? 0), args: reader.declared };
  if (dockerfile.bases.length <= maxBases) return { ok: true, dockerfile };
  const message = `is of a file that needs ${dockerfile.bases.length} images, more than ${maxBases}`;
  return { ok: false, errors: [{ line: 1, code: 'too_many', message }] };
}

const kept = ['RUN', 'CMD', 'LABEL', 'MAINTAINER', 'ENTRYPOINT', 'VOLUME', 'USER', 'WORKDIR', 'STOPSIGNAL'];
const keptAsWell = ['HEALTHCHECK', 'SHELL', 'ENV'];
/** What hosts of this platform are, in the words of a Dockerfile. */
const ownPlatform = /^\$(?:BUILDPLATFORM|TARGETPLATFORM|\{BUILDPLATFORM\}|\{TARGETPLATFORM\})$/;
const notUnderstood = `has a value in a form that is not understood, or of more than ${maxValueLength} characters`;
const archive = /\.(?:tar|tgz|tbz2?|txz|tzst|gz|bz2|xz|zst)$/i;

class Reader {
  readonly stages: Stage[] = [];
  /** Names of ARGs. */
  readonly declared = new Set<string>();
  readonly #args: ReadonlyMap<string, string>;
  readonly #errors: DockerfileError[];
  /** Those before the first FROM. */
  readonly #globals = new Map<string, string>();
  readonly #lengths = new ValueLengths();
  readonly #labels = new LabelLengths();

  constructor(args: ReadonlyMap<string, string>, errors: DockerfileError[]) {
    this.#args = args;
    this.#errors = errors;
  }

  read(instruction: Instruction): void {
    const { keyword, text } = instruction;
    if (keyword === 'FROM') this.#from(instruction);
    else if (keyword === 'ARG') this.#arg(instruction);
    else if (keyword === 'COPY' || keyword === 'ADD') this.#copy(instruction);
    else if (keyword === 'ONBUILD') this.#refuse(instruction, 'onbuild', 'is for builds of others: leave it out');
    // What is published is the plan's to say, and an engine writes each port of a range.
    else if (keyword === 'EXPOSE' && this.stages.length > 0) return;
    else if (![...kept, ...keptAsWell].includes(keyword)) {
      this.#refuse(instruction, 'unknown', `is no instruction: ${keyword.slice(0, 40)}`);
    } else if (keyword === 'RUN' && text.startsWith('--')) {
      this.#refuse(instruction, 'flag', `has ${word(text)}, which is not offered here`);
    } else this.#keep(instruction, { line: instruction.line, keyword, text });
  }

  #from(instruction: Instruction): void {
    const parts = /^(?:--platform=(\S+)\s+)?([^\s-]\S*)(?:\s+AS\s+(\S+))?$/i.exec(instruction.text);
    const [, platform, written = '', alias] = parts ?? [];
    if (!parts) {
      this.#refuse(instruction, 'from', 'is no FROM IMAGE [AS NAME]');
      this.stages.push({ line: instruction.line, base: { kind: 'scratch' }, lines: [], names: [] });
      return;
    }
    if (platform !== undefined && !ownPlatform.test(platform)) {
      this.#refuse(instruction, 'platform', 'names a platform: hosts build for their own');
    }
    const name = alias?.toLowerCase();
    if (name !== undefined && !/^[a-z][a-z0-9_.-]*$/.test(name)) {
      this.#refuse(instruction, 'name', 'names a stage by what is no name');
    }
    if (name !== undefined && stageNamed(name, this.stages) !== undefined) {
      this.#refuse(instruction, 'name', `names a second stage ${name}`);
    }
    const image = expand(written, this.#globals);
    if (image === undefined) this.#refuse(instruction, 'value', notUnderstood);
    else if (!/^[a-zA-Z0-9][\w./:@-]{0,511}$/.test(image)) {
      this.#refuse(instruction, 'image', 'names no image once the values of ARGs are put in');
    }
    const names = name === undefined ? [] : [name];
    this.stages.push({ line: instruction.line, base: this.#origin(image ?? ''), lines: [], names });
  }

  #origin(name: string): Origin {
    const index = /^\d+$/.test(name) ? undefined : stageNamed(name, this.stages);
    if (index !== undefined) return { kind: 'stage', index };
    return name === 'scratch' ? { kind: 'scratch' } : { kind: 'image', name };
  }

  #arg(instruction: Instruction): void {
    for (const each of splitWords(instruction.text) ?? ['']) {
      const [, name = '', value] = /^([A-Za-z_]\w*)(?:=(.*))?$/.exec(each) ?? [];
      this.declared.add(name);
      if (name === '' || name === '__proto__') this.#refuse(instruction, 'arg', 'is no ARG NAME or ARG NAME=VALUE');
      else if (this.stages.length === 0) this.#globalArg(instruction, name, value);
      else this.#keep(instruction, { line: instruction.line, keyword: 'ARG', text: this.#ownArg(name, value) });
    }
  }

  #globalArg(instruction: Instruction, name: string, value: string | undefined): void {
    const usual = value === undefined ? undefined : expand(value, this.#globals);
    if (value !== undefined && usual === undefined) {
      this.#refuse(instruction, 'value', notUnderstood);
    }
    const known = this.#args.get(name) ?? usual;
    if (known !== undefined) this.#globals.set(name, known);
  }

  /** Of a stage: what is given wins over what is written there, that over the same name before the first FROM. */
  #ownArg(name: string, value: string | undefined): string {
    const given = this.#args.get(name) ?? (value === undefined ? this.#globals.get(name) : undefined);
    if (given !== undefined) return `${name}=${quoted(given)}`;
    return value === undefined ? name : `${name}=${value}`;
  }

  #copy(instruction: Instruction): void {
    const [, flags = '', rest = ''] = /^((?:--\S+\s+)*)(.*)$/.exec(instruction.text) ?? [];
    let from: Origin | undefined;
    const own: string[] = [];
    for (const flag of flags.trim().split(/\s+/).filter(Boolean)) {
      const [, name, value = ''] = /^--([a-z-]+)=(\S+)$/.exec(flag) ?? [];
      if (name === 'chown' && own.length === 0 && /^[\w.:-]+$/.test(value)) own.push(flag);
      else if (name === 'from' && instruction.keyword === 'COPY' && !from) from = this.#source(instruction, value);
      else this.#refuse(instruction, 'flag', `has ${flag.slice(0, 40)}, which is not offered here`);
    }
    if (rest.startsWith('-')) this.#refuse(instruction, 'flag', `has ${word(rest)} where files are to be named`);
    else if (sourcesOf(rest).length === 0) {
      this.#refuse(instruction, 'empty', 'does not name both what it copies and where to');
    }
    if (instruction.keyword === 'ADD') this.#judgeSources(instruction, rest);
    const { line } = instruction;
    this.#keep(instruction, { line, keyword: 'COPY', text: [...own, rest].join(' '), ...(from && { from }) });
  }

  #source(instruction: Instruction, value: string): Origin | undefined {
    if (!/^[a-zA-Z0-9][\w./:@-]{0,511}$/.test(value)) {
      this.#refuse(instruction, 'from', 'copies from what is neither a stage nor an image');
      return undefined;
    }
    const index = stageNamed(value, this.stages.slice(0, -1));
    if (index !== undefined) return { kind: 'stage', index };
    if (/^\d+$/.test(value)) this.#refuse(instruction, 'from', `copies from stage ${value}, which is not before it`);
    return { kind: 'image', name: value };
  }

  /** What is left is the same as COPY. */
  #judgeSources(instruction: Instruction, rest: string): void {
    for (const source of sourcesOf(rest)) {
      if (/:\/\/|^[^/]*@[^/]*:|\$/.test(source)) {
        this.#refuse(
          instruction,
          'add',
          'adds what may come from elsewhere: a build has the files of its project only',
        );
      } else if (archive.test(source)) {
        this.#refuse(
          instruction,
          'add',
          `unpacks ${source.slice(0, 100)}: use COPY, and RUN a program that unpacks it`,
        );
      }
    }
  }

  #keep(instruction: Instruction, line: StageLine): void {
    const stage = this.stages.at(-1);
    const wrong = this.#lengths.add(line.keyword, line.text);
    if (wrong !== undefined) this.#refuse(instruction, 'value', wrong);
    const isLabel = line.keyword === 'LABEL';
    const wrongLabel = isLabel ? this.#labels.add(line.text, this.#lengths.lengthOf(line.text)) : undefined;
    if (wrongLabel !== undefined) this.#refuse(instruction, 'label', wrongLabel);
    if (stage) stage.lines.push(line);
    else this.#refuse(instruction, 'order', 'stands before the first FROM');
  }

  #refuse({ line }: Instruction, code: string, message: string): void {
    if (this.#errors.length <= maxErrors) this.#errors.push({ line, code, message });
  }
}

function word(text: string): string {
  return (text.split(/\s/)[0] ?? '').slice(0, 40);
}

function sourcesOf(text: string): string[] {
  if (text.startsWith('[')) {
    try {
      const list: unknown = JSON.parse(text);
      if (Array.isArray(list)) return list.map(String).slice(0, -1);
    } catch {
      // The builder takes it as words as well.
    }
  }
  return text.split(/\s+/).slice(0, -1);
}

function stageNamed(name: string, stages: readonly Stage[]): number | undefined {
  const index = /^\d+$/.test(name) ? Number(name) : stages.findIndex(({ names }) => names.includes(name.toLowerCase()));
  return stages[index] && index;
}

/** That stage and those that it needs, in their order. */
function only(stages: readonly Stage[], last: number): Omit<Dockerfile, 'args'> {
  const needed = new Set<number>();
  const need = (origin: Origin | undefined) => {
    if (origin?.kind !== 'stage' || needed.has(origin.index)) return;
    needed.add(origin.index);
    const stage = stages[origin.index];
    need(stage?.base);
    for (const { from } of stage?.lines ?? []) need(from);
  };
  need({ kind: 'stage', index: last });
  const places = [...needed].toSorted((one, other) => one - other);
  const moved = (origin: Origin): Origin =>
    origin.kind === 'stage' ? { kind: 'stage', index: places.indexOf(origin.index) } : origin;
  const own = places.map((index) => stages[index] as Stage);
  const origins = own.flatMap(({ base, lines }) => [base, ...lines.flatMap(({ from }) => from ?? [])]);
  const line = lineOf(stages, last);
  const root = line.at(-1)?.base;
  return {
    stages: own.map(({ line, base, lines, names }) => ({
      ...{ line, names, base: moved(base) },
      lines: lines.map((line) => (line.from ? { ...line, from: moved(line.from) } : line)),
    })),
    bases: [...new Set(origins.flatMap((origin) => (origin.kind === 'image' ? [origin.name] : [])))],
    root: root?.kind === 'image' ? root.name : undefined,
    env: new Set(line.flatMap(({ lines }) => lines.flatMap(namesOfEnv))),
  };
}

/** That stage, the one that it begins with, and so on. */
function lineOf(stages: readonly Stage[], index: number): Stage[] {
  const stage = stages[index] as Stage;
  return stage.base.kind === 'stage' ? [stage, ...lineOf(stages, stage.base.index)] : [stage];
}

function namesOfEnv({ keyword, text }: StageLine): string[] {
  return keyword === 'ENV' ? (assigned(keyword, text) ?? []).map(([name]) => name) : [];
}

export interface Pinning {
  /** Each of `bases` by digest. */
  readonly bases: Readonly<Record<string, string>>;
  readonly init?: BuildImage['init'];
  readonly workDir?: string;
  /** What `root` sets, as `NAME=value`. */
  readonly env?: readonly string[];
}

/** An engine gives it to an image that has none. */
const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where a line of a Dockerfile as it is rendered comes from. */
export type LineOrigin =
  /** One that its author wrote. */
  | { readonly line: number }
  /** An init command, counted from 0, or the part of it at that pointer. */
  | { readonly init: number; readonly part: string };

interface RenderedLine {
  readonly text: string;
  readonly from: LineOrigin;
}

/** Instructions of each init command. What the image sets wins over an ARG: so it is set for the command, and set back behind it. */
function initLines(init: BuildImage['init'], workDir: string, image: readonly string[]): RenderedLine[][] {
  const values = new Map([['PATH', usualPath], ...image.map(splitEntry)]);
  return init.map(({ command, cwd, env }, index) => {
    const made = (text: string, part: string): RenderedLine => ({ text, from: { init: index, part } });
    const ofEnv = (keyword: string, name: string, value: string) =>
      made(`${keyword} ${name}=${quoted(value)}`, `/env/${pointerToken(name)}`);
    return [
      ...Object.entries(env).map(([name, value]) => ofEnv(values.has(name) ? 'ENV' : 'ARG', name, value)),
      made(`WORKDIR ${quoted(posix.join(workDir, cwd))}`, '/cwd'),
      made(`RUN ${inOneLine(JSON.stringify(command))}`, '/command'),
      ...Object.keys(env).flatMap((name) => {
        const before = values.get(name);
        return before === undefined ? [] : [ofEnv('ENV', name, before)];
      }),
    ];
  });
}

/** Of `NAME=value`. */
export function splitEntry(entry: string): [name: string, value: string] {
  const [name = ''] = entry.split('=', 1);
  return [name, entry.slice(name.length + 1)];
}

/** Which init command an instruction is of, by how many of the Dockerfile as it is rendered come behind it. */
export function initLabel({ init = [], env = [] }: Pick<Pinning, 'init' | 'env'>, behind: number): string | undefined {
  let left = behind;
  const lines = initLines(init, '/', env);
  return init.findLast((_, index) => {
    left -= 1 + (lines[index]?.length ?? 0);
    return left < 0;
  })?.label;
}

/** JSON without the characters that no line of a Dockerfile has: a builder reads it as JSON as well. */
function inOneLine(json: string): string {
  const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replaceAll(new RegExp(controlCharacter, 'g'), escaped);
}

/** In the form that the gate takes. Throws where a base has no digest: it is the caller's to have told. */
export function renderDockerfile(dockerfile: Dockerfile, pinning: Pinning): string {
  return `${renderLines(dockerfile, pinning)
    .map(({ text }) => text)
    .join('\n')}\n`;
}

/** The same, by its lines. */
export function renderLines(
  { stages }: Dockerfile,
  { bases, init = [], workDir = '/', env = [] }: Pinning,
): RenderedLine[] {
  const nameOf = (origin: Origin) => {
    if (origin.kind === 'scratch') return 'scratch';
    if (origin.kind === 'stage') return `stage${origin.index}`;
    const pinned = Object.hasOwn(bases, origin.name) ? bases[origin.name] : undefined;
    if (pinned === undefined) throw new Error(`the image ${origin.name} has no digest`);
    return pinned;
  };
  const own = stages.flatMap(({ line, base, lines }, index) => [
    { text: `FROM ${nameOf(base)} AS stage${index}`, from: { line } },
    ...lines.map(({ line, keyword, text, from }) => ({
      ...{ text: `${keyword} ${from ? `--from=${nameOf(from)} ` : ''}${text}`, from: { line } },
    })),
  ]);
  const after = initLines(init, workDir, env).flatMap((lines, index) => {
    const number = stages.length + index;
    return [{ text: `FROM stage${number - 1} AS stage${number}`, from: { init: index, part: '' } }, ...lines];
  });
  return [...own, ...after];
}

/**
 * The same Dockerfile, of that form, whose layers all have these labels: those of a stage that begins with another have them by it.
 * Values are identifiers.
 */
export function labelled(dockerfile: string, labels: Readonly<Record<string, string>>): string {
  const words = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return dockerfile.replaceAll(/^FROM (?!stage\d+ AS ).*$/gm, (line) => `${line}\nLABEL ${words.join(' ')}`);
}
