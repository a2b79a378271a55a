/**
 * Literals of a job definition: `%%ops.ID.results.NAME%%` and the others, taken out of the texts that they stand in.
 *
 *   %%ops.ID.results.NAME[.KEY…]%%   what an op has brought out      %%global.job|host|project%%    facts of the job
 *   %%ops.ID.host%%                  by which name others reach it   %%global.variables.NAME%%      a variable of `global`
 *   %%ops.ID.endpoint.PORT%%         where its port answers
 *
 * Nothing but `%%ops.`, `%%global.` and `%%globals.` begins one; any other `%%` is text.
 */

export type Literal =
  | { readonly kind: 'result'; readonly op: string; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: 'host'; readonly op: string }
  | { readonly kind: 'endpoint'; readonly op: string; readonly port: number }
  | { readonly kind: 'fact'; readonly name: 'job' | 'host' | 'project' }
  | { readonly kind: 'variable'; readonly name: string };

export type ReadLiterals =
  | { readonly ok: true; readonly pieces: readonly (string | Literal)[] }
  /** `literal` is what was written, `message` a clause that says what is wrong with it. */
  | { readonly ok: false; readonly literal: string; readonly message: string };

const beginning = /%%(?=(?:ops|globals?)\.)/;
const longest = 512;

/** The pieces of a text in their order. `ops`: the ids of the definition, which may hold dots themselves; asked where one is named. */
export function readLiterals(text: string, ops: () => readonly string[]): ReadLiterals {
  const pieces: (string | Literal)[] = [];
  let rest = text;
  for (;;) {
    const at = rest.search(beginning);
    if (at === -1) {
      if (rest !== '') pieces.push(rest);
      return { ok: true, pieces };
    }
    if (at > 0) pieces.push(rest.slice(0, at));
    const end = rest.indexOf('%%', at + 2);
    const inside = end === -1 ? undefined : rest.slice(at + 2, end);
    if (inside === undefined || inside.length > longest) {
      return { ok: false, literal: rest.slice(at, at + 64), message: 'has no end `%%`' };
    }
    const literal = readOne(inside, ops);
    if (typeof literal === 'string') return { ok: false, literal: `%%${inside}%%`, message: literal };
    pieces.push(literal);
    rest = rest.slice(end + 2);
  }
}

/** What stands between the marks; a clause that says what is wrong with it. */
function readOne(inside: string, ops: () => readonly string[]): Literal | string {
  return inside.startsWith('ops.') ? readOfOp(inside.slice(4), ops) : readGlobal(inside.replace(/^globals?\./, ''));
}

function readOfOp(text: string, ops: () => readonly string[]): Literal | string {
  const op = ops()
    .filter((id) => text.startsWith(`${id}.`))
    .sort((one, other) => other.length - one.length)[0];
  if (op === undefined) return 'names no op of this definition';
  const [what = '', ...more] = text.slice(op.length + 1).split('.');
  const [first = '', ...path] = more;
  if (what === 'host' && more.length === 0) return { kind: 'host', op };
  if (what === 'results' && more.length > 0 && more.every((key) => key !== '')) {
    return { kind: 'result', op, name: first, path };
  }
  if (what === 'endpoint' && more.length === 1 && /^[1-9][0-9]{0,4}$/.test(first)) {
    return { kind: 'endpoint', op, port: Number(first) };
  }
  if (what === 'deployment_endpoint') return 'asks for the address of a deployment, and there are none here';
  return 'is none of results.NAME, host and endpoint.PORT';
}

function readGlobal(text: string): Literal | string {
  const [what = '', ...more] = text.split('.');
  if ((what === 'job' || what === 'host' || what === 'project') && more.length === 0)
    return { kind: 'fact', name: what };
  return what === 'variables' && more.length > 0 && more.every((key) => key !== '')
    ? { kind: 'variable', name: more.join('.') }
    : 'is none of job, host, project and variables.NAME';
}
