/** Light or dark: as the system has it, until the button says otherwise. The server reads the choice from a cookie. */

import { base } from './api.js';

const YEAR = 365 * 24 * 3600;
const systemIsDark = matchMedia('(prefers-color-scheme: dark)');

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : systemIsDark.matches;
}

document.querySelector('[data-theme-toggle]').addEventListener('click', () => {
  const theme = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  document.cookie = `mlplat-theme=${theme}; path=${base}; max-age=${YEAR}; samesite=lax`;
});
