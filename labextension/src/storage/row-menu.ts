import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

/** One line of a menu. */
export interface IChoice {
  id: string;
  label: string;
  execute: () => void;
}

/** Open a menu below an element; it is gone once something is chosen or it is left. */
export function openMenu(anchor: Element, choices: IChoice[]): void {
  const commands = new CommandRegistry();
  const menu = new Menu({ commands });
  for (const { id, label, execute } of choices) {
    commands.addCommand(id, { label, execute });
    menu.addItem({ command: id });
  }
  menu.aboutToClose.connect(() => requestAnimationFrame(() => menu.dispose()));
  const box = anchor.getBoundingClientRect();
  menu.open(box.left, box.bottom);
}
