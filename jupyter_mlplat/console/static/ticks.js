/** Rows to be ticked: a form marked `data-ticks` can be sent once that many are; ticks outlast an exchange of the list. */

const ticked = new Set();

function boxes(form) {
  return [...form.elements].filter(box => box.type === 'checkbox' && 'tick' in box.dataset);
}

function count(form) {
  const chosen = boxes(form).filter(box => box.checked);
  const enough = chosen.length === Number(form.dataset.ticks);
  form.querySelectorAll('[data-submit]').forEach(button => (button.disabled = !enough));
  boxes(form).forEach(box => (box.disabled = enough && !box.checked));
}

function restore() {
  for (const form of document.querySelectorAll('form[data-ticks]')) {
    boxes(form).forEach(box => (box.checked = ticked.has(box.value)));
    count(form);
  }
}

document.addEventListener('change', ({ target }) => {
  if ('tick' in target.dataset) {
    ticked[target.checked ? 'add' : 'delete'](target.value);
    count(target.form);
  }
});
document.addEventListener('exchanged', restore);
restore();
