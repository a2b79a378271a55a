/** The commands of a script, each with its outcome and, opened, the end of what it has written. */
import { Badge } from '../../parts/badge.tsx';
import { secondsText } from '../instance/amounts.ts';
import { cleanLine, cleanLines } from '../instance/clean-text.ts';
import type { StepView } from './step-words.ts';

type Command = NonNullable<StepView['commands']>[number];
type Said = NonNullable<Command['stdout']>;

export function CommandsTable({ commands }: { readonly commands: readonly Command[] }) {
  return (
    <div>
      <h3 id="commands">Commands</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that. */}
      <section class="table-box commands" tabIndex={0} aria-labelledby="commands">
        <table>
          <thead>
            <tr>
              <th scope="col">No.</th>
              <th scope="col">Command</th>
              <th scope="col">State</th>
              <th scope="col">Exit code</th>
              <th scope="col">Took</th>
            </tr>
          </thead>
          <tbody>
            {commands.map((command) => (
              <Row key={command.index} command={command} />
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}

function Row({ command }: { readonly command: Command }) {
  const { index, command: words, state, exit_code, duration_ms, message, stdout, stderr } = command;
  return (
    <tr>
      <td>{index}</td>
      <td>
        <code>{cleanLine(words)}</code>
        {message !== null && <p>{cleanLine(message)}</p>}
        <Output name="Output" index={index} said={stdout} isOpen={false} />
        <Output name="Error output" index={index} said={stderr} isOpen={state === 'failed'} />
      </td>
      <td>
        <Badge state={state} />
      </td>
      <td>{exit_code ?? '–'}</td>
      <td>{duration_ms === null ? '–' : secondsText(duration_ms / 1000)}</td>
    </tr>
  );
}

interface OutputProps {
  readonly name: string;
  readonly index: number;
  readonly said: Said | undefined;
  readonly isOpen: boolean;
}

function Output({ name, index, said, isOpen }: OutputProps) {
  if (!said || said.text === '') return null;
  const title = `${name} of command ${index}${said.truncated ? ', its end' : ''}`;
  return (
    <details open={isOpen}>
      <summary>{title}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keyboards must reach that. */}
      <pre tabIndex={0}>{cleanLines(said.text)}</pre>
    </details>
  );
}
