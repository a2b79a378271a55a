/** What is accepted in a job definition and probably not meant, or means less here than where it comes from. */
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import type { JobDefinition, Op, RunOp } from './definition.ts';

export function warnAbout(definition: JobDefinition): PathError[] {
  const { logistics, ops } = definition;
  return [
    ...(logistics === undefined
      ? []
      : [
          {
            path: '/logistics',
            code: 'ignored',
            message: 'has no effect: definitions and results travel as those of every job',
          },
        ]),
    ...ops.flatMap((op, index) => [
      ...warnResults(op, `/ops/${index}/results`),
      ...(op.type === 'container/run' ? warnRun(op, `/ops/${index}/args`, definition) : []),
    ]),
  ];
}

/** Logs here have the two streams of a container. */
function warnResults({ results = {} }: Op, path: string): PathError[] {
  return Object.entries(results).flatMap(([name, result]) =>
    typeof result === 'string' || result.logType.some((type) => type === 'stdout' || type === 'stderr')
      ? []
      : [
          {
            path: `${path}/${pointerToken(name)}/logType`,
            code: 'no_such_stream',
            message: 'finds nothing: containers say things on stdout and stderr',
          },
        ],
  );
}

function warnRun({ args }: RunOp, path: string, { ops, global }: JobDefinition): PathError[] {
  const warnings: PathError[] = [];
  const warn = (at: string, code: string, message: string) => warnings.push({ path: path + at, code, message });
  const { cmd, expose, resources = [], restart_policy: restart, volumes = [] } = args;

  const words = Array.isArray(cmd) ? (cmd as readonly string[]) : [];
  const shell = words.findIndex((word, index) => word === '-c' && /(^|\/)(ba|da|a|z)?sh$/.test(words[index - 1] ?? ''));
  if (shell !== -1 && words.length > shell + 2) {
    warn('/cmd', 'shell_words', 'gives the shell one word as its command; those behind it are only its arguments');
  }
  const entrypoint = args.entrypoint ?? global?.entrypoint;
  if (typeof cmd === 'string' && entrypoint !== undefined) {
    warn('/cmd', 'shell_words', 'is given to the entrypoint as `/bin/sh -c …`; as a list it is given as it stands');
  }
  const line = typeof cmd === 'string' ? cmd : words.join(' ');
  if (expose !== undefined && /--(ServerApp|NotebookApp|IdentityProvider)\.token=(''|""|\s|$)/.test(line)) {
    warn('/cmd', 'no_auth_endpoint', 'turns the token of Jupyter off: whoever reaches the port on the host is let in');
  }
  if (restart === 'always' || restart === 'unless-stopped') {
    warn('/restart_policy', 'never_ends', 'starts the op again and again, until the deadline of the job');
  }
  for (const [index, { name }] of volumes.entries()) {
    const isMade = ops.some((op) => op.type === 'container/create-volume' && op.args.name === name);
    if (!isMade) warn(`/volumes/${index}/name`, 'undeclared_volume', 'is made by no op; an empty volume of the job is');
  }
  for (const [index, resource] of resources.entries()) {
    if (/"http:\/\//.test(JSON.stringify(resource))) {
      warn(`/resources/${index}`, 'plain_http', 'is fetched without encryption, and only by hosts that allow it');
    }
  }
  return warnings;
}
