/** What the engine starts gVisor with. Pure. */

/**
 * A flag as programs in Go read it: with one dash or two, the last one counts, and one without a value is `true`, as are `1` and `T`.
 * Undefined where it is not there.
 */
export function flagOf(args: readonly string[], name: string): string | undefined {
  const last = args.findLast((arg) => isFlag(arg, name));
  if (last === undefined) return undefined;
  const value = last.includes('=') ? last.slice(last.indexOf('=') + 1) : 'true';
  if (/^(1|t|T|true|TRUE|True)$/.test(value)) return 'true';
  return /^(0|f|F|false|FALSE|False)$/.test(value) ? 'false' : value;
}

/** Arguments of gVisor with its nvproxy on or off; those very ones where it is so. */
export function withNvproxy(args: readonly string[], isOn: boolean): readonly string[] {
  if ((flagOf(args, 'nvproxy') === 'true') === isOn) return args;
  const others = args.filter((arg) => !isFlag(arg, 'nvproxy'));
  return isOn ? [...others, '--nvproxy'] : others;
}

function isFlag(arg: string, name: string): boolean {
  const [word] = arg.split('=');
  return word === `-${name}` || word === `--${name}`;
}
