/** The log of a job, as it is written. Long ones are shown from their end. */

import { ask } from './api.js';
import { say } from './words.js';

const SHOWN_BYTES = 2 * 1024 * 1024;
const SHOWN_PIECES = 2000;
const RETRY = 2000;

const view = document.getElementById('log');
const end = document.getElementById('log-end');
const following = document.getElementById('follow');
let offset;

function append(text) {
  const atEnd = following.checked;
  view.append(document.createTextNode(text));
  while (view.childNodes.length > SHOWN_PIECES) {
    view.firstChild.remove();
  }
  if (atEnd) {
    view.scrollTop = view.scrollHeight;
  }
}

/** Where to begin, so that at most SHOWN_BYTES are shown. */
async function findStart() {
  const answer = await ask(`${view.dataset.log}?offset=${Number.MAX_SAFE_INTEGER}`);
  const size = Number(answer.headers.get('X-Log-Size'));
  if (size > SHOWN_BYTES) {
    end.textContent = say('The log is long: only its end is shown.');
    return size - SHOWN_BYTES;
  }
  return 0;
}

async function read() {
  const answer = await ask(`${view.dataset.log}?follow=true&offset=${offset}`);
  if (!answer.ok) {
    throw new Error('The log cannot be had now.');
  }
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    offset += value.length;
    append(decoder.decode(value, { stream: true }));
  }
}

/** Read to the end of the job; where the connection breaks, go on from the last byte. */
async function follow() {
  try {
    offset ??= await findStart();
    await read();
    end.textContent = view.textContent ? say('The log ends here.') : say('No output yet.');
  } catch {
    end.textContent = say('Trying again…');
    setTimeout(follow, RETRY);
  }
}

if (view) {
  document
    .getElementById('wrap')
    .addEventListener('change', event => view.classList.toggle('wrap', event.target.checked));
  view.addEventListener('wheel', event => event.deltaY < 0 && (following.checked = false), { passive: true });
  following.addEventListener('change', () => following.checked && (view.scrollTop = view.scrollHeight));
  follow();
}
