import test from 'ava';
import { fuzz } from '../fuzz/fuzz-run.js';
import { RandomInputs } from '../fuzz/random-input.js';
import { fuzzTargets } from '../fuzz/targets.js';

/** The long run is `npm run fuzz`. */
const INPUTS = 500;

for (const target of fuzzTargets) {
  test(`damaged input is refused or understood: ${target.name}`, async (t) => {
    const result = await fuzz(target, { seed: 1, from: 0, to: INPUTS });
    t.deepEqual(result.defects, []);
    t.is(result.inputs, INPUTS);
    t.true(result.accepted > 0, 'what the inputs are made of is good');
  });
}

test('the same seed makes the same inputs, another seed others', (t) => {
  const [one, same, other] = [1, 1, 2].map((seed) => new RandomInputs(fuzzTargets[0]!, seed));
  t.deepEqual(one!.at(1234), same!.at(1234));
  t.notDeepEqual(one!.at(1234), other!.at(1234));
});

test('what is neither a result nor an expected refusal is a defect, shown with its input', async (t) => {
  const parse = (input: Uint8Array) => {
    if (input.length === 0) throw new RangeError('stack');
    if (input.length > 3) return input;
    throw new Error('not typed');
  };
  const target = { name: 'broken', corpus: () => [new Uint8Array(2)], refusals: ['invalid'] as const, parse };
  const { defects } = await fuzz(target, { seed: 1, from: 0, to: 200 });
  t.deepEqual([...new Set(defects.map(({ what }) => what.split(' ')[0]))].sort(), ['Error:', 'RangeError:']);
  t.is(defects.find(({ what }) => what.startsWith('Error'))?.hex, '0000');
});
