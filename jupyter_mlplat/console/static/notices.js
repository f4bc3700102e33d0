/** What went wrong, said on the page: beside the form it belongs to, or at the top. */

import { base } from './api.js';
import { say } from './words.js';

/** Fill an element with a problem: what happened, what to do, and a fold with code and request id. */
export function showProblem(place, problem) {
  place.replaceChildren(element('p', problem.message));
  if (problem.status === 401) {
    place.append(signInLink());
  }
  if (problem.code) {
    const fold = document.createElement('details');
    fold.append(element('summary', say('Details')), element('code', `${problem.code} ${problem.request}`));
    place.append(fold);
  }
  place.hidden = false;
}

/** Show one lasting notice at the top of the page; the same `key` replaces it, `clear` takes it away. */
export function notice(key, text, withSignIn = false) {
  clear(key);
  const box = element('div', '');
  box.className = 'notice';
  box.dataset.key = key;
  box.append(element('p', text));
  if (withSignIn) {
    box.append(signInLink());
  }
  document.getElementById('notices').append(box);
}

export function clear(key) {
  document.querySelector(`#notices [data-key="${key}"]`)?.remove();
}

/** Say something for a moment (also to a screen reader). */
export function mention(text) {
  notice('mention', text);
  setTimeout(() => clear('mention'), 3000);
}

function signInLink() {
  const link = element('a', say('Sign in again'));
  link.href = `${base}login?next=${encodeURIComponent(location.pathname + location.search)}`;
  return link;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
