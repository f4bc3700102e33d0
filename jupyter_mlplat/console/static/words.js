/** The few texts that scripts say, in the language of the page. */

const spoken = JSON.parse(document.getElementById('words').textContent);

export const language = document.documentElement.lang;

/** The text in the page's language, `{name}` replaced by the value of that name. */
export function say(text, values = {}) {
  return (spoken[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
