/** Light, dark, or as the system has it; remembered in this browser. */
import { shared } from './store.ts';

const key = 'gpuaas.theme';
export const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

export const theme = shared<Theme>(kept());

/** Puts the theme on the page, now and whenever it changes. */
export function applyTheme(): void {
  const apply = () => {
    const chosen = theme.get();
    if (chosen === 'system') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.dataset['theme'] = chosen;
    localStorage.setItem(key, chosen);
  };
  apply();
  theme.subscribe(apply);
}

function kept(): Theme {
  const found = localStorage.getItem(key);
  return themes.find((each) => each === found) ?? 'system';
}
