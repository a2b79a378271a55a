/** The console: one page that talks to the control plane it came from. */
import { render } from 'preact';
import { App } from './app.tsx';
import { applyTheme } from './lib/theme.ts';
import './style.css';

applyTheme();
const root = document.getElementById('console');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
