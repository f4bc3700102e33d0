/** What every page of the console loads. */

import { start } from './clock.js';
import { follow } from './live.js';
import './copying.js';
import './dialogs.js';
import './filters.js';
import './forms.js';
import './logs.js';
import './menus.js';
import './parts.js';
import './theme.js';
import './ticks.js';

follow();
start();
