/** Search fields that hide what does not match, among the elements that carry `data-search`. */

import { say } from './words.js';

function filter(field) {
  const list = document.getElementById(field.dataset.filter);
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const item of list.querySelectorAll('[data-search]')) {
    const text = item.dataset.search.toLowerCase();
    item.hidden = !words.every(word => text.includes(word));
    found += !item.hidden;
  }
  for (const group of list.querySelectorAll('[data-group]')) {
    group.hidden = !group.querySelector('[data-search]:not([hidden])');
  }
  field.title = found ? '' : say('Nothing matches.');
}

document.addEventListener('input', event => 'filter' in event.target.dataset && filter(event.target));
document.addEventListener('keydown', event => {
  if (event.key === 'Enter' && 'filter' in event.target.dataset) {
    event.preventDefault();
  }
});
