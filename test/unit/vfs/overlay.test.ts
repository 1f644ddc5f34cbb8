import test from 'ava';
import fc from 'fast-check';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { Overlay, type OverlaySnapshot, type OverlayView, type PositionHolder } from '../../../src/vfs/overlay.js';
import { parseOverlay, serializeOverlay } from '../../../src/vfs/overlay-codec.js';
import { seededFraction } from '../../support/log-owner.js';

class CountingHolder implements PositionHolder {
  readonly counts = new Map<number, number>();

  hold(position: number): void {
    this.counts.set(position, (this.counts.get(position) ?? 0) + 1);
  }

  drop(position: number): void {
    const count = this.counts.get(position) ?? 0;
    if (count === 0) throw new Error(`position ${position} dropped more often than held`);
    if (count === 1) this.counts.delete(position);
    else this.counts.set(position, count - 1);
  }
}

const BASE = -1;
const ZERO = 0;

/** One number per byte: which byte of which record, or of the base, or zero. */
function bytesOf(view: OverlayView, offset = 0, length = view.sizeBytes): number[] {
  const bytes: number[] = [];
  for (const piece of view.ranges(offset, length)) {
    if (piece.length <= 0 || piece.offset !== offset + bytes.length) throw new Error('pieces with gaps');
    for (let index = 0; index < piece.length; index++) {
      if (piece.kind === 'log') bytes.push(piece.position * 1000 + piece.skip + index);
      else bytes.push(piece.kind === 'base' ? BASE : ZERO);
    }
  }
  return bytes;
}

function positionsIn(views: Iterable<OverlayView>): number[] {
  const positions = new Set<number>();
  for (const view of views) for (const extent of view.extents()) positions.add(extent.position);
  return [...positions].sort((a, b) => a - b);
}

function randomRun(seed: number, steps: number, span: number): string | undefined {
  const fraction = seededFraction(seed);
  const below = (limit: number) => Math.floor(fraction() * limit);
  const holder = new CountingHolder();
  const baseBytes = below(span);
  const overlay = new Overlay(holder, baseBytes);
  let model: number[] = new Array(baseBytes).fill(BASE);
  const snapshots: { snapshot: OverlaySnapshot; model: number[] }[] = [];
  for (let step = 1; step <= steps; step++) {
    const choice = fraction();
    if (choice < 0.75) {
      const offset = fraction() < 0.3 ? model.length : below(span);
      const length = 1 + below(30);
      overlay.write(offset, length, step, 5);
      while (model.length < offset + length) model.push(ZERO);
      for (let index = 0; index < length; index++) model[offset + index] = step * 1000 + 5 + index;
    } else if (choice < 0.85) {
      const size = fraction() < 0.1 ? 0 : below(span);
      overlay.truncate(size);
      model = model.slice(0, size);
      while (model.length < size) model.push(ZERO);
    } else if (choice < 0.93) {
      snapshots.push({ snapshot: overlay.snapshot(), model: [...model] });
    } else if (snapshots.length > 0) {
      const [gone] = snapshots.splice(below(snapshots.length), 1);
      gone?.snapshot.release();
    }
    if (step % 7 !== 0) continue;
    const offset = below(span);
    const length = below(60);
    if (bytesOf(overlay, offset, length).join() !== model.slice(offset, offset + length).join())
      return `range at ${step}`;
    if (overlay.isWhollyOverwritten === model.includes(BASE)) return `isWhollyOverwritten at ${step}`;
    if (step % 70 !== 0) continue;
    if (bytesOf(overlay).join() !== model.join()) return `content at ${step}`;
    for (const one of snapshots) {
      if (bytesOf(one.snapshot).join() !== one.model.join()) return `snapshot at ${step}`;
    }
    const held = [...holder.counts.keys()].sort((a, b) => a - b);
    if (held.join() !== positionsIn([overlay, ...snapshots.map((one) => one.snapshot)]).join())
      return `holds at ${step}`;
  }
  overlay.clear();
  for (const one of snapshots) one.snapshot.release();
  return holder.counts.size === 0 ? undefined : 'holds left at the end';
}

test('random writes, truncations and snapshots read like a plain array, and hold exactly what they refer to', (t) => {
  for (let seed = 1; seed <= 15; seed++) t.is(randomRun(seed, 700, 400), undefined, `seed ${seed}`);
});

test('the same with thousands of extents, so that chunks split, are shared and are replaced whole', (t) => {
  for (let seed = 1; seed <= 2; seed++) t.is(randomRun(seed, 3000, 20_000), undefined, `seed ${seed}`);
});

test('a file cut and extended again reads zeros where the base was', (t) => {
  const overlay = new Overlay(new CountingHolder(), 10);
  overlay.truncate(4);
  overlay.truncate(8);
  t.deepEqual(bytesOf(overlay), [BASE, BASE, BASE, BASE, ZERO, ZERO, ZERO, ZERO]);
  t.false(overlay.isWhollyOverwritten);
  overlay.write(0, 4, 1);
  t.true(overlay.isWhollyOverwritten);
});

test('a gigabyte of sequential and then random writes stays fast', (t) => {
  const overlay = new Overlay(new CountingHolder());
  for (let index = 0; index < 16_384; index++) overlay.write(index * 65_536, 65_536, index + 1);
  t.is(overlay.extentCount, 16_384);
  const fraction = seededFraction(1);
  const started = performance.now();
  for (let index = 0; index < 20_000; index++) {
    overlay.write(Math.floor(fraction() * 262_144) * 4096, 4096, 20_000 + index);
    if (index % 100 === 0) overlay.snapshot().release();
  }
  const elapsedMs = performance.now() - started;
  t.log(`${((elapsedMs * 1000) / 20_000).toFixed(1)} us per random write, ${overlay.extentCount} extents`);
  // Two hundred times what it takes; quadratic behaviour would be far above.
  t.true(elapsedMs < 20_000);
});

test('an overlay comes back from its checkpoint pieces, each within its bound', (t) => {
  const holder = new CountingHolder();
  const overlay = new Overlay(holder, 5000);
  const fraction = seededFraction(3);
  for (let index = 0; index < 2000; index++) {
    overlay.write(
      Math.floor(fraction() * 1e9),
      1 + Math.floor(fraction() * 5000),
      Math.floor(fraction() * 2 ** 52),
      index,
    );
  }
  const pieces = serializeOverlay(overlay, 4096);
  t.true(pieces.length > 4);
  t.true(pieces.every((piece) => piece.length <= 4096));
  t.log(`${(pieces.reduce((sum, piece) => sum + piece.length, 0) / overlay.extentCount).toFixed(1)} bytes per extent`);
  const restored = Overlay.restore(new CountingHolder(), parseOverlay(pieces));
  t.deepEqual([...restored.extents()], [...overlay.extents()]);
  t.is(restored.sizeBytes, overlay.sizeBytes);
  t.is(restored.baseBytes, overlay.baseBytes);
  t.deepEqual(parseOverlay(serializeOverlay(new Overlay(holder), 64)), { sizeBytes: 0, baseBytes: 0, extents: [] });
});

test('hostile descriptions are refused as corrupt or give extents in order', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 3 }), (pieces) => {
      try {
        const { extents, sizeBytes } = parseOverlay(pieces.map((piece) => Uint8Array.from([1, ...piece])));
        return extents.every((one, index) => one.end <= sizeBytes && one.start >= (extents[index - 1]?.end ?? 0));
      } catch (error) {
        return isTahoeError(error, 'corrupt');
      }
    }),
    { numRuns: 3000 },
  );
  t.throws(() => parseOverlay([]));
  t.throws(() => parseOverlay([Uint8Array.of(2, 0, 0)]));
});
