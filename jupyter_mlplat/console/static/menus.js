/** Menus behind a button: one at a time, closed by Escape, by a click elsewhere and by leaving them. */

const open = () => document.querySelector('details.menu[open]');

function close(menu, focusButton = false) {
  menu.open = false;
  if (focusButton) {
    menu.querySelector('summary').focus();
  }
}

function move(menu, step) {
  const items = [...menu.querySelectorAll('a, button')];
  const next = items.indexOf(document.activeElement) + step;
  items[(next + items.length) % items.length].focus();
}

document.addEventListener('click', event => {
  const menu = event.target.closest('details.menu');
  for (const other of document.querySelectorAll('details.menu[open]')) {
    if (other !== menu || !event.target.closest('summary')) {
      close(other);
    }
  }
});
document.addEventListener('focusin', event => {
  const menu = open();
  if (menu && !menu.contains(event.target)) {
    close(menu);
  }
});
document.addEventListener('keydown', event => {
  const menu = open();
  if (!menu) {
    return;
  }
  if (event.key === 'Escape') {
    close(menu, true);
  } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    event.preventDefault();
    move(menu, event.key === 'ArrowDown' ? 1 : -1);
  }
});
