/** Pages that follow what happens: on word of a change the page is asked for again and its live parts are exchanged. */

import { ask } from './api.js';
import { tick } from './clock.js';
import { clear, notice } from './notices.js';
import { say } from './words.js';

const PAUSE = 250;
const RETRY = 3000;
/** The platform says something every 15 s; a stream that is silent for longer has lost it. */
const SILENCE = 35000;
const rendered = new Map();
let asking = false;
let wanted = false;
let stream;
let silence;
let pressed = false;

/** Nouns that this page shows: `instance`, or `instance:ID` for one of them. */
const nouns = document.body.dataset.nouns.trim().split(/\s+/).filter(Boolean);
const pollSeconds = Number(document.body.dataset.poll);

function concerns({ noun, resource_id }) {
  return nouns.includes(noun) || nouns.includes(`${noun}:${resource_id}`);
}

/** Ask for the page again, soon; many calls at once make one request. */
export function refresh() {
  wanted = true;
  if (!asking) {
    asking = true;
    setTimeout(exchange, PAUSE);
  }
}

async function exchange() {
  wanted = false;
  try {
    const answer = await ask(location.href, { redirect: 'manual' });
    await apply(answer);
    clear('unreachable');
  } catch {
    notice('unreachable', `${say('The platform does not answer.')} ${say('Trying again…')}`);
    setTimeout(refresh, RETRY);
  }
  asking = false;
  if (wanted) {
    refresh();
  }
}

async function apply(answer) {
  if (answer.type === 'opaqueredirect') {
    location.reload();
  } else if (answer.status === 401) {
    stream?.close();
    clearTimeout(silence);
    notice('session', say('Your session has ended.'), true);
  } else if (answer.status >= 500) {
    throw new Error('The page cannot be had now.');
  } else {
    show(new DOMParser().parseFromString(await answer.text(), 'text/html'), answer.ok);
  }
}

function show(fresh, same) {
  if (!same) {
    document.getElementById('main').replaceChildren(...fresh.getElementById('main').childNodes);
    return;
  }
  for (const part of document.querySelectorAll('[data-live]')) {
    const news = fresh.getElementById(part.id);
    if (news && news.innerHTML !== rendered.get(part.id)) {
      swap(part, news);
    }
  }
}

/** Exchange one part; later, while somebody presses a button or has a menu open in it. */
function swap(part, news) {
  if (pressed) {
    document.addEventListener('pointerup', refresh, { once: true });
    return;
  }
  const open = part.querySelector('details.menu[open]');
  if (open) {
    open.addEventListener('toggle', refresh, { once: true });
    return;
  }
  const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
  rendered.set(part.id, news.innerHTML);
  part.replaceChildren(...news.childNodes);
  tick(part);
  if (focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
  part.dispatchEvent(new CustomEvent('exchanged', { bubbles: true }));
}

function heard() {
  clearTimeout(silence);
  silence = setTimeout(listen, SILENCE);
}

function listen() {
  stream?.close();
  clearTimeout(silence);
  if (!nouns.length || document.hidden) {
    return;
  }
  stream = new EventSource(document.body.dataset.events);
  heard();
  for (const kind of ['open', 'hello', 'changed', 'touched', 'ping']) {
    stream.addEventListener(kind, heard);
  }
  for (const kind of ['changed', 'touched']) {
    stream.addEventListener(kind, event => concerns(JSON.parse(event.data)) && refresh());
  }
  stream.addEventListener('hello', () => refresh());
  stream.addEventListener('error', () => stream.readyState === EventSource.CLOSED && setTimeout(listen, RETRY));
}

document.addEventListener('pointerdown', () => (pressed = true), true);
for (const kind of ['pointerup', 'pointercancel']) {
  document.addEventListener(kind, () => (pressed = false), true);
}

/** Follow the platform as long as the page is looked at. */
export function follow() {
  for (const part of document.querySelectorAll('[data-live]')) {
    rendered.set(part.id, part.innerHTML);
  }
  document.addEventListener('visibilitychange', listen);
  listen();
  if (pollSeconds) {
    setInterval(() => document.hidden || refresh(), pollSeconds * 1000);
  }
}
