/** Forms that call the REST API: `data-method`, `data-path` below v1/, and `data-next` for what comes afterwards. */

import { base, call, Problem } from './api.js';
import { closeDialog, inDialog } from './dialogs.js';
import { refresh } from './live.js';
import { showProblem } from './notices.js';
import { say } from './words.js';

/** The fields as the API takes them; empty ones are left out unless they say `data-keep-empty`. */
function bodyOf(form) {
  const body = {};
  for (const field of form.elements) {
    const chosen = field.type !== 'radio' || field.checked;
    if (!counts(form, field)) {
      continue;
    }
    if (['ticked', 'unticked'].includes(field.dataset.type)) {
      const taken = field.checked === (field.dataset.type === 'ticked');
      body[field.name] = [...(body[field.name] ?? []), ...(taken ? [field.value] : [])];
    } else if (field.name && !field.disabled && chosen && (field.value || 'keepEmpty' in field.dataset)) {
      body[field.name] = valueOf(field);
      if (field.dataset.sets) {
        body[field.dataset.sets] = true;
      }
    }
  }
  return body;
}

/** Whether the option is chosen that a field below `data-with="NAME=VALUE"` belongs to; others always count. */
function counts(form, field) {
  const [name, value] = field.closest('[data-with]')?.dataset.with.split('=') ?? [];
  return !name || form.elements[name].value === value;
}

function valueOf(field) {
  if (field.dataset.type === 'boolean') {
    return field.value === 'true';
  }
  if (field.dataset.type === 'words') {
    return field.value.split(/[\s,]+/).filter(Boolean);
  }
  return field.dataset.type === 'tags' ? tagsOf(field.value) : field.value;
}

function tagsOf(text) {
  const lines = text
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean);
  return lines.map(line => {
    const [key, ...rest] = line.split('=');
    return { key: key.trim(), value: rest.join('=').trim() };
  });
}

/** Go where the form leads: another page, the page below the dialog, or this page anew. */
function proceed(form, made) {
  const next = form.dataset.next;
  if (next.startsWith('page:')) {
    location.assign(base + next.slice('page:'.length).replace('{id}', made.id));
  } else if (next === 'show') {
    showOnce(form, made);
  } else if (inDialog(form)) {
    closeDialog();
    refresh();
  } else if (next === 'close') {
    location.assign(form.querySelector('[data-close]').href);
  } else {
    refresh();
  }
}

/** Show in the form what is in this answer and nowhere else; what was asked before it goes. */
function showOnce(form, made) {
  for (const place of form.querySelectorAll('[data-once]')) {
    place.textContent = made[place.dataset.once];
  }
  for (const button of form.querySelectorAll('[data-copy-once]')) {
    button.dataset.copy = made[button.dataset.copyOnce];
  }
  form.querySelector('[data-before]').hidden = true;
  form.querySelector('[data-after]').hidden = false;
  form.querySelector('[data-submit]').hidden = true;
  form.querySelector('[data-close]').textContent = say('Close');
  refresh();
}

async function submit(form) {
  const buttons = [...form.querySelectorAll('button')].filter(button => !button.disabled);
  const body = form.dataset.method === 'DELETE' ? undefined : bodyOf(form);
  buttons.forEach(button => (button.disabled = true));
  form.setAttribute('aria-busy', 'true');
  try {
    proceed(form, await call(form.dataset.method, form.dataset.path, needsBody(form) ? body : undefined));
  } catch (error) {
    const problem =
      error instanceof Problem ? error : new Problem(0, { error_msg: say('The platform does not answer.') });
    showProblem(form.querySelector('[data-problem]'), problem);
  } finally {
    form.removeAttribute('aria-busy');
    buttons.forEach(button => (button.disabled = false));
  }
}

function needsBody(form) {
  return [...form.elements].some(field => field.name);
}

/** The button says what the chosen option does, and waits until something else than now is chosen. */
function label(form) {
  const chosen = form.querySelector('input[type="radio"][data-verb]:checked');
  const button = form.querySelector('[data-submit]');
  if (chosen && button) {
    button.textContent = chosen.dataset.verb;
    button.disabled = 'noChange' in chosen.dataset;
  }
}

/** Buttons come disabled, so that nobody presses one that no script listens to yet. */
function awaken(root) {
  root.querySelectorAll('button[data-ready]').forEach(button => (button.disabled = false));
  root.querySelectorAll('form[data-method]').forEach(label);
}

document.addEventListener('submit', event => {
  if (event.target.dataset.method) {
    event.preventDefault();
    submit(event.target);
  }
});
document.addEventListener('change', event => event.target.form && label(event.target.form));
document.addEventListener('exchanged', event => awaken(event.target));
awaken(document);
