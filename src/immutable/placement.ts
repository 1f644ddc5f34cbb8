/** Which share goes to which server (immutable spec 8.4 and 8.5), by true maximum matching. */
import type { ServerId } from '../encoding/brands.js';

/** Share number to the servers that hold it. */
export type SharePlacement = ReadonlyMap<number, ReadonlySet<ServerId>>;

/** Share numbers held by each server. */
export type Holdings = ReadonlyMap<ServerId, ReadonlySet<number>>;

/** Size of a maximum matching of servers and shares. */
export function serversOfHappiness(placement: SharePlacement): number {
  const edges = new Map<number, ServerId[]>();
  for (const [share, servers] of placement) edges.set(share, [...servers]);
  return maximumMatching(edges).size;
}

/**
 * A maximum matching of the left side of a bipartite graph with the right side. Earlier edges are preferred, and whatever
 * can be matched along `preferred` edges alone, a subset, stays matched.
 */
export function maximumMatching<Left, Right>(
  edges: ReadonlyMap<Left, readonly Right[]>,
  preferred: ReadonlyMap<Left, readonly Right[]> = new Map(),
): Map<Left, Right> {
  const leftOf = new Map<Right, Left>();
  const matched = new Map<Left, Right>();
  for (const start of preferred.keys()) augment(preferred, start, leftOf, matched);
  for (const start of edges.keys()) if (!matched.has(start)) augment(edges, start, leftOf, matched);
  return matched;
}

/** Breadth-first search for a path that ends at an unmatched right vertex; flips it. */
function augment<Left, Right>(
  edges: ReadonlyMap<Left, readonly Right[]>,
  start: Left,
  leftOf: Map<Right, Left>,
  matched: Map<Left, Right>,
): void {
  const reachedFrom = new Map<Right, Left>();
  const queue: Left[] = [start];
  for (const left of queue) {
    for (const right of edges.get(left) ?? []) {
      if (reachedFrom.has(right)) continue;
      reachedFrom.set(right, left);
      const next = leftOf.get(right);
      if (next !== undefined) {
        queue.push(next);
        continue;
      }
      flip(right, reachedFrom, leftOf, matched);
      return;
    }
  }
}

function flip<Left, Right>(
  end: Right,
  reachedFrom: ReadonlyMap<Right, Left>,
  leftOf: Map<Right, Left>,
  matched: Map<Left, Right>,
): void {
  let right: Right | undefined = end;
  while (right !== undefined) {
    const left: Left = reachedFrom.get(right)!;
    const previous = matched.get(left);
    matched.set(left, right);
    leftOf.set(right, left);
    right = previous;
  }
}

export interface PlacementProblem {
  /** In order of preference. */
  readonly writeable: readonly ServerId[];
  /** Servers that keep what they have or have granted and take nothing more. */
  readonly readOnly: readonly ServerId[];
  readonly sharesTotal: number;
  /** Complete shares. */
  readonly held: Holdings;
  /** Shares that a server has agreed to take. */
  readonly granted: Holdings;
}

/** One server for every share that can have one, keeping and completing what is there. */
export function planPlacement(problem: PlacementProblem): Map<number, ServerId> {
  const plan = new Map<number, ServerId>();
  const used = new Set<ServerId>();
  const keep = (servers: readonly ServerId[]) => {
    const edges = new Map<ServerId, number[]>();
    const complete = new Map<ServerId, number[]>();
    const homeless = (shares: ReadonlySet<number> | undefined) =>
      [...(shares ?? [])].filter((share) => share < problem.sharesTotal && !plan.has(share));
    for (const server of servers) {
      const held = homeless(problem.held.get(server));
      complete.set(server, held);
      edges.set(server, [...held, ...homeless(problem.granted.get(server))]);
    }
    for (const [server, share] of maximumMatching(edges, complete)) {
      plan.set(share, server);
      used.add(server);
    }
  };
  keep(problem.readOnly);
  keep(problem.writeable);
  spread(problem, plan, used);
  fill(problem, plan);
  return plan;
}

/** Servers without a share get one that nobody has. */
function spread(problem: PlacementProblem, plan: Map<number, ServerId>, used: Set<ServerId>): void {
  const free = problem.writeable.filter((server) => !used.has(server));
  const homeless = homelessShares(problem, plan);
  for (const [index, share] of homeless.slice(0, free.length).entries()) plan.set(share, free[index]!);
}

/** The rest stays where it is, complete copies first, or goes to the servers with the fewest shares. */
function fill(problem: PlacementProblem, plan: Map<number, ServerId>): void {
  const load = new Map<ServerId, number>(problem.writeable.map((server) => [server, 0]));
  for (const server of plan.values()) load.set(server, (load.get(server) ?? 0) + 1);
  const everyone = [...problem.writeable, ...problem.readOnly];
  for (const share of homelessShares(problem, plan)) {
    const target =
      everyone.find((server) => problem.held.get(server)?.has(share)) ??
      everyone.find((server) => problem.granted.get(server)?.has(share)) ??
      leastLoaded(problem.writeable, load);
    if (target === undefined) continue;
    plan.set(share, target);
    load.set(target, (load.get(target) ?? 0) + 1);
  }
}

function leastLoaded(servers: readonly ServerId[], load: ReadonlyMap<ServerId, number>): ServerId | undefined {
  let best: ServerId | undefined;
  for (const server of servers) {
    if (best === undefined || load.get(server)! < load.get(best)!) best = server;
  }
  return best;
}

function homelessShares(problem: PlacementProblem, plan: ReadonlyMap<number, ServerId>): number[] {
  return Array.from({ length: problem.sharesTotal }, (_, share) => share).filter((share) => !plan.has(share));
}

/** The other way round. */
export function placementOf(holdings: readonly Holdings[]): Map<number, Set<ServerId>> {
  const placement = new Map<number, Set<ServerId>>();
  for (const map of holdings) {
    for (const [server, shares] of map) {
      for (const share of shares) {
        const servers = placement.get(share) ?? new Set();
        placement.set(share, servers.add(server));
      }
    }
  }
  return placement;
}
