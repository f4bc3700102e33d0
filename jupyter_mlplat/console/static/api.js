/** Requests to the platform, with the session's CSRF token. */

import { say } from './words.js';

export const base = document.body.dataset.base;
const csrf = document.querySelector('meta[name="csrf-token"]').content;

/** What the platform refused, in its own words; `status` is 0 where it did not answer. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.error_msg);
    this.status = status;
    this.code = body.error_code ?? '';
    this.request = body.request_id ?? '';
  }
}

/** A request below the console's path; the answer as it is, but a Problem where nobody answers. */
export async function ask(path, options = {}) {
  try {
    return await fetch(path, { ...options, headers: { 'X-CSRF-Token': csrf, ...options.headers } });
  } catch (error) {
    if (error.name === 'AbortError') {
      throw error;
    }
    throw new Problem(0, { error_msg: say('The platform does not answer.') });
  }
}

/** A call of the REST API: the answer's body, or a Problem. */
export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers['Content-Type'] = 'application/json';
  }
  const answer = await ask(`${base}v1/${path}`, options);
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw problemOf(answer.status, content);
  }
  return content;
}

function problemOf(status, content) {
  const message = status === 401 ? say('Your session has ended.') : content.error_msg;
  return new Problem(status, { ...content, error_msg: message ?? say('The platform does not answer.') });
}
