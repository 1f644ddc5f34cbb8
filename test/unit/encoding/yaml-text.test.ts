import test from 'ava';
import { parseYaml } from '../../../src/encoding/yaml-text.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

test('what is not YAML is kind invalid, and nothing warns behind the caller', async (t) => {
  const warnings: unknown[] = [];
  const note = (warning: unknown) => warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  for (const text of [
    '"',
    'a: &x 1\nb: *x',
    '? {a: b}\n: c',
    'a: 1\na: 2',
    '{'.repeat(5000),
    '- '.repeat(32_768),
    '? '.repeat(32_768),
  ]) {
    t.true(
      isTahoeError(
        t.throws(() => parseYaml(text)),
        'invalid',
      ),
      text.slice(0, 20),
    );
  }
  t.deepEqual(parseYaml('a: !unknown b\n1: 2'), { a: 'b', 1: 2 });
  t.is(parseYaml(''), null);
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(warnings, []);
});
