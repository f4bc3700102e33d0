/** Parts of a page that take a while: `data-part` is the path of the page that has them, asked for once they are seen.
 * What is unticked in them is left out, and they are asked for again. */

import { ask, base, Problem } from './api.js';
import { say } from './words.js';

const latest = new WeakMap();

function addressOf(part) {
  const unticked = [...part.querySelectorAll('input[data-type="unticked"]')].filter(box => !box.checked);
  const query = new URLSearchParams(unticked.map(box => [box.name, box.value]));
  return `${base}${part.dataset.part}?${query}`;
}

async function load(part) {
  const round = Symbol('round');
  latest.set(part, round);
  part.setAttribute('aria-busy', 'true');
  const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
  const content = await fetchPart(addressOf(part));
  if (latest.get(part) !== round) {
    return;
  }
  part.replaceChildren(...content);
  part.removeAttribute('aria-busy');
  if (focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

async function fetchPart(address) {
  try {
    const answer = await ask(address);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    return (fresh.querySelector('[data-part-body]') ?? fresh.getElementById('main')).childNodes;
  } catch (error) {
    return [error instanceof Problem ? error.message : say('The platform does not answer.')];
  }
}

function begin(root) {
  root.querySelectorAll('[data-part]').forEach(load);
}

document.addEventListener('change', ({ target }) => {
  const part = target.closest('[data-part]');
  if (part && target.dataset.type === 'unticked') {
    load(part);
  }
});
document.addEventListener('exchanged', event => begin(event.target));
begin(document);
