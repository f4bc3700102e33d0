/**
 * The translations of the Lab extension: from labextension/locale/LANGUAGE.po to the files that JupyterLab reads.
 *
 * `node scripts/translations.mjs` writes them; labextension/tests/translations.test.ts checks that they are complete.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const DOMAIN = 'jupyter_mlplat';
const SOURCES = join(ROOT, 'labextension', 'src');
const TRANSLATIONS = join(ROOT, 'labextension', 'locale');
const TARGET = join(ROOT, DOMAIN, 'locale');
/** Between the context of a text and the text. */
const CONTEXT = '\u0004';
/** The methods of a translation bundle: what their first arguments are. */
const METHODS = new Map([
  ['__', ['id']],
  ['_n', ['id', 'plural']],
  ['_p', ['context', 'id']],
  ['_np', ['context', 'id', 'plural']]
]);

export function languages() {
  return readdirSync(TRANSLATIONS).map(name => name.replace(/\.po$/, ''));
}

/** All texts that the sources give to the translator: Map of key → {context?, id, plural?, file}. */
export function textsInSources() {
  const names = readdirSync(SOURCES, { recursive: true }).filter(name => /\.tsx?$/.test(name));
  const texts = names.sort().flatMap(name => textsIn(join(SOURCES, name)));
  return new Map(texts.map(text => [keyOf(text), text]));
}

function textsIn(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const texts = [];
  const visit = node => {
    if (ts.isCallExpression(node) && METHODS.has(node.expression.name?.text)) {
      const roles = METHODS.get(node.expression.name.text);
      const words = roles.map((role, index) => [role, literal(node.arguments[index], file)]);
      texts.push({ ...Object.fromEntries(words), file });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return texts;
}

function literal(node, file) {
  if (ts.isStringLiteralLike(node)) {
    return node.text;
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return literal(node.left, file) + literal(node.right, file);
  }
  throw new Error(`${file}: a text for the translator must be written out: ${node.getText()}`);
}

/** The entries of a language: Map of key → {context?, id, plural?, translation}; its header has the key "". */
export function entriesOf(language) {
  const text = readFileSync(join(TRANSLATIONS, `${language}.po`), 'utf8');
  const entries = text.split(/\n\s*\n/).map(parseEntry);
  return new Map(entries.filter(entry => 'id' in entry).map(entry => [keyOf(entry), entry]));
}

const FIELDS = { msgctxt: 'context', msgid: 'id', msgid_plural: 'plural', msgstr: 'translation', 'msgstr[0]': 'translation' };

function parseEntry(block) {
  const entry = {};
  let field = null;
  for (const line of block.split('\n')) {
    const found = /^(?:(msg\S+)\s+)?(".*")$/.exec(line.trim());
    if (found) {
      field = found[1] ? FIELDS[found[1]] : field;
      entry[field] = (entry[field] ?? '') + JSON.parse(found[2]);
    }
  }
  return entry;
}

function keyOf({ context, id }) {
  return context === undefined ? id : context + CONTEXT + id;
}

/** What JupyterLab reads. Its translator wants two forms where there is a plural, also of a language that has one. */
export function messagesOf(language) {
  const messages = {};
  for (const [key, { plural, translation }] of entriesOf(language)) {
    messages[key] = plural === undefined ? [translation] : [translation, translation];
  }
  messages[''] = {
    domain: DOMAIN,
    language: language.replace('_', '-'),
    plural_forms: 'nplurals=1; plural=0;',
    version: '1.0'
  };
  return messages;
}

function writeAll() {
  for (const language of languages()) {
    const folder = join(TARGET, language, 'LC_MESSAGES');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${DOMAIN}.json`), JSON.stringify(messagesOf(language), null, 1) + '\n');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeAll();
}
