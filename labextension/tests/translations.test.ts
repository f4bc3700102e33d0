import { describe, expect, it } from 'vitest';
import { entriesOf, languages, messagesOf, textsInSources } from '../../scripts/translations.mjs';

const PLACES = /%\d/g;
const texts = textsInSources();

function placesIn(text: string): string {
  return [...new Set(text.match(PLACES))].sort().join();
}

describe.each(languages())('translation into %s', language => {
  const entries = entriesOf(language);
  entries.delete('');

  it('has every text of the sources and no other', () => {
    expect([...entries.keys()].sort()).toEqual([...texts.keys()].sort());
  });

  it('leaves no text empty, and has a plural where the sources have one', () => {
    const wrong = [...entries].filter(
      ([key, entry]) => !entry.translation?.trim() || entry.plural !== texts.get(key)?.plural
    );
    expect(wrong).toEqual([]);
  });

  it('has the same places for values', () => {
    const wrong = [...entries.values()].filter(
      ({ id, plural, translation }) => placesIn(translation) !== placesIn(id + (plural ?? ''))
    );
    expect(wrong).toEqual([]);
  });

  it('gives JupyterLab two forms of a plural', () => {
    expect(messagesOf(language)['one file']).toEqual([expect.any(String), expect.any(String)]);
  });
});
