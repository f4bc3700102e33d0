/** Dialogs: a link marked `data-dialog` shows the page that it leads to in a dialog. */

import { ask, Problem } from './api.js';
import { notice } from './notices.js';
import { say } from './words.js';

const dialog = document.getElementById('dialog');

export async function openDialog(link) {
  try {
    const answer = await ask(link.href);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const body = fresh.querySelector('[data-dialog-body]');
    dialog.replaceChildren(body);
    dialog.showModal();
    dialog.dispatchEvent(new CustomEvent('exchanged', { bubbles: true }));
  } catch (error) {
    notice('dialog', error instanceof Problem ? error.message : say('The platform does not answer.'));
  }
}

export function closeDialog() {
  dialog.close();
}

/** Whether an element is in the dialog, and not on a page of its own. */
export function inDialog(element) {
  return dialog.contains(element);
}

dialog.addEventListener('close', () => dialog.replaceChildren());
dialog.addEventListener('click', event => event.target === dialog && dialog.close());
document.addEventListener('click', event => {
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const opener = event.target.closest('a[data-dialog]');
  if (opener && plain) {
    event.preventDefault();
    openDialog(opener);
  }
  const closer = event.target.closest('[data-close]');
  if (closer && plain && inDialog(closer)) {
    event.preventDefault();
    closeDialog();
  }
});
