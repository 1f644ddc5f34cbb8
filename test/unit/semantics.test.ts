import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';

/** Titles in quotation marks in the section "Semantics", as one line each. */
function namedTitles(): string[] {
  const readme = readFileSync('README.md', 'utf8');
  const section = /^## Semantics$([\s\S]*?)^## /m.exec(readme)?.[1] ?? '';
  return [...section.matchAll(/"([^"]+)"/g)].map(([, title]) => title!.replace(/\s+/g, ' '));
}

function testSources(): string {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  return files.map((name) => readFileSync(`test/${name}`, 'utf8')).join('\n');
}

test('every test that the README names for a sentence of the promise is there', (t) => {
  const titles = namedTitles();
  const sources = testSources();
  t.true(titles.length > 30);
  for (const title of titles) {
    const isThere = [`'${title}'`, `\`${title}\``, `"${title}"`].some((quoted) => sources.includes(quoted));
    t.true(isThere, `no test is called "${title}"`);
  }
});
