/** The console: one page that talks to the control plane it came from. */
// First: the styles of parts and pages come after it, and win.
import './style.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { applyTheme } from './lib/theme.ts';

applyTheme();
const root = document.getElementById('console');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
