/**
 * Which requests wait for which. Clients send requests without waiting for answers (sshfs sends OPEN and LSTAT of one
 * name together and closes without waiting), and were written against servers that do one after the other. Requests
 * that cannot notice each other run side by side, so that a slow one delays nobody else:
 *
 * - by handle: reads, writes and fsyncs start in order and run together (a VFS handle keeps their order); FSTAT waits
 *   for them; CLOSE, FSETSTAT, READDIR and copies wait for all before and hold up all after;
 * - by name: a change (of /a/b) waits for and holds up what concerns the same path, one above it or one below it;
 *   two questions never wait for each other;
 * - between: a request by name waits for the WRITEs to a handle that was opened by that name.
 *
 * Two names of one file (through symbolic links) are not recognised as one.
 */
export interface Claim {
  readonly path?: { readonly name: string; readonly access: 'look' | 'change' } | undefined;
  readonly handle?: HandleClaim | undefined;
  /** A second one, for what concerns two names or two handles. */
  readonly also?: Claim | undefined;
}

export interface HandleClaim {
  /** Identity of what is open. */
  readonly object: object;
  readonly path: string;
  readonly access: 'look' | 'transfer' | 'write' | 'exclusive';
}

interface Pending {
  readonly claim: Claim;
  readonly done: Promise<void>;
}

export class RequestOrder {
  readonly #pending = new Set<Pending>();

  get size(): number {
    return this.#pending.size;
  }

  /**
   * Runs `task` after all requests before it that `claim` conflicts with; at once, on the same stack, if there are
   * none. `task` must not reject.
   */
  run(claim: Claim, task: () => Promise<void>): Promise<void> {
    const before: Promise<void>[] = [];
    for (const pending of this.#pending) {
      if (conflict(pending.claim, claim)) before.push(pending.done);
    }
    const done = before.length === 0 ? task() : Promise.all(before).then(task);
    const pending: Pending = { claim, done };
    this.#pending.add(pending);
    return done.then(() => {
      this.#pending.delete(pending);
    });
  }
}

function conflict(earlier: Claim, later: Claim): boolean {
  return (
    simpleConflict(earlier, later) ||
    (earlier.also !== undefined && conflict(earlier.also, later)) ||
    (later.also !== undefined && conflict({ ...earlier, also: undefined }, later.also))
  );
}

function simpleConflict(earlier: Claim, later: Claim): boolean {
  if (earlier.handle !== undefined && later.handle !== undefined) return handlesConflict(earlier.handle, later.handle);
  if (earlier.path !== undefined && later.path !== undefined) {
    const changes = earlier.path.access === 'change' || later.path.access === 'change';
    return changes && overlap(earlier.path.name, later.path.name);
  }
  if (earlier.handle !== undefined && later.path !== undefined) {
    return earlier.handle.access === 'write' && earlier.handle.path === later.path.name;
  }
  return false;
}

function handlesConflict(earlier: HandleClaim, later: HandleClaim): boolean {
  if (earlier.object !== later.object) return false;
  if (earlier.access === 'exclusive' || later.access === 'exclusive') return true;
  return later.access === 'look' ? earlier.access === 'write' : false;
}

/** True if one path is the other or lies below it. */
function overlap(a: string, b: string): boolean {
  const [shorter, longer] = a.length <= b.length ? [a, b] : [b, a];
  if (!longer.startsWith(shorter)) return false;
  return longer.length === shorter.length || shorter.endsWith('/') || longer[shorter.length] === '/';
}
