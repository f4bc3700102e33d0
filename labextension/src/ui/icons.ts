import { LabIcon } from '@jupyterlab/ui-components';

function icon(name: string, paths: string): LabIcon {
  const svgstr =
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
    `<g class="jp-icon3" fill="#616161">${paths}</g></svg>`;
  return new LabIcon({ name: `jupyter-mlplat:${name}`, svgstr });
}

/** A chip: what the instance computes with. */
export const instanceIcon = icon(
  'instance',
  '<path fill-rule="evenodd" d="M9 2h2v3h2V2h2v3h2a2 2 0 0 1 2 2v2h3v2h-3v2h3v2h-3v2a2 2 0 0 1-2 2h-2v3h-2v-3h-2v3H9v-3H7a2 ' +
    '2 0 0 1-2-2v-2H2v-2h3v-2H2V9h3V7a2 2 0 0 1 2-2h2V2zM7 7v10h10V7H7zm2 2h6v6H9V9z"/>'
);

/** A play mark in a frame: work that runs by itself. */
export const jobsIcon = icon(
  'jobs',
  '<path fill-rule="evenodd" d="M5 3h14a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zm0 2v9h14V5H5zm5 ' +
    '1.5 5 3-5 3v-6zM3 19h18v2H3v-2z"/>'
);

/** A bucket. */
export const storageIcon = icon(
  'storage',
  '<path fill-rule="evenodd" d="M12 3c5 0 9 1.3 9 3.2L19 19c-.2 1.200-3.300 2-7 2s-6.800-.8-7-2L3 6.200C3 4.300 7 3 12 ' +
    '3zm0 2c-3.600 0-6.400.7-6.900 1.300C5.600 6.900 8.400 7.600 12 7.600s6.400-.7 6.900-1.300C18.400 5.700 15.600 5 12 5zM5.400 8.700l1.500 ' +
    '9.800c.6.300 2.500.7 5.100.7s4.500-.4 5.100-.7l1.500-9.800c-1.600.6-4 .9-6.600.9s-5-.3-6.600-.9z"/>'
);

/** A layer put on others: an environment kept as an image. */
export const saveImageIcon = icon(
  'save-image',
  '<path d="m12 2 10 5-10 5L2 7l10-5zm0 2.200L6.500 7 12 9.800 17.500 7 12 4.200zM4.200 10.900 12 14.800l7.800-3.900L22 12l-10 5-10-5 ' +
    '2.200-1.100zm0 5L12 19.800l7.800-3.900L22 17l-10 5-10-5 2.200-1.100z"/>'
);

/** A layer put on others by a hammer's blow: an image that is built. */
export const buildImageIcon = icon(
  'build-image',
  '<path d="M2 19h20v2H2zM2 15h20v2H2zM13 3l7 2v3l-7-1v1.500H9V7L4 9V6l5-3h4zM9.700 9.500h2.600V13H9.700z"/>'
);

/** Two bars. */
export const pauseIcon = icon('pause', '<path d="M7 5h3.500v14H7zM13.500 5H17v14h-3.500z"/>');
