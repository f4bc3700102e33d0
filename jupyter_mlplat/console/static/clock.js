/** Times as people say them: relative, with the exact local one on hover; durations that grow. */

import { language, say } from './words.js';

const RELATIVE = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
const EXACT = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' });
const UNITS = [
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60]
];

export function relative(seconds) {
  return inUnits(seconds, -1) ?? say('just now');
}

/** For what lies ahead. `relative` takes a moment there for the present, since the clocks of two machines differ. */
function ahead(seconds) {
  return inUnits(seconds, 1) ?? RELATIVE.format(1, 'minute');
}

function inUnits(seconds, direction) {
  for (const [unit, length] of UNITS) {
    if (seconds >= length) {
      return RELATIVE.format(direction * Math.floor(seconds / length), unit);
    }
  }
}

export function duration(seconds) {
  const total = Math.max(0, Math.floor(seconds));
  const parts = {
    d: Math.floor(total / 86400),
    h: Math.floor(total / 3600) % 24,
    m: Math.floor(total / 60) % 60,
    s: total % 60
  };
  if (parts.d) {
    return say('{d} d {h} h', parts);
  }
  if (parts.h) {
    return say('{h} h {m} m', parts);
  }
  return parts.m ? say('{m} m {s} s', parts) : say('{s} s', parts);
}

/** Bring every time below `root` up to the present. */
export function tick(root = document) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    const past = (Date.now() - at) / 1000;
    setText(time, 'ahead' in time.dataset ? ahead(-past) : relative(past));
    time.title = EXACT.format(at);
  }
  for (const span of root.querySelectorAll('[data-since]')) {
    setText(span, duration((Date.now() - new Date(span.dataset.since)) / 1000));
  }
}

function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Keep all times of the page at the present. */
export function start() {
  tick();
  setInterval(() => tick(), 1000);
}
