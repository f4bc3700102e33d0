/** Buttons that copy a text. */

import { mention } from './notices.js';
import { say } from './words.js';

async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = document.createElement('textarea');
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}

document.addEventListener('click', async event => {
  const button = event.target.closest('[data-copy]');
  if (button) {
    await copy('copyPath' in button.dataset ? location.origin + button.dataset.copy : button.dataset.copy);
    mention(say('Copied'));
  }
});
