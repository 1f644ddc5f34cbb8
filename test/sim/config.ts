/** The grids that are simulated, and how bad they are. */
export interface SimConfig {
  readonly name: string;
  readonly servers: number;
  readonly sharesNeeded: number;
  readonly sharesHappy: number;
  readonly sharesTotal: number;
  readonly nodes: number;
  /** Servers that may go back to an older state, of those that the guarantee bears (vfs blueprint 11). */
  readonly rollbacks: number;
  /** Probability that something happens to a message, besides what the steps order. */
  readonly noise: number;
  /** Nodes also make, remove and move directories in the one that they share. */
  readonly sharesTrees?: boolean;
}

const usual = { nodes: 3, rollbacks: 0, noise: 0.01 };

export const configs: readonly SimConfig[] = [
  { ...usual, name: '2-of-4', servers: 4, sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 },
  { ...usual, name: '3-of-10', servers: 10, sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10, rollbacks: 3 },
  { ...usual, name: '1-of-3', servers: 3, sharesNeeded: 1, sharesHappy: 2, sharesTotal: 3 },
  { ...usual, name: '2-of-4-solo', servers: 4, sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4, nodes: 1 },
  { ...usual, name: '2-of-4-calm', servers: 4, sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4, noise: 0 },
  { ...usual, name: '2-of-4-wide', servers: 7, sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4, nodes: 2 },
  { ...usual, name: '2-of-4-trees', servers: 4, sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4, sharesTrees: true },
];

export function configNamed(name: string): SimConfig | undefined {
  return configs.find((config) => config.name === name);
}

/** W, as the product computes it: what one must be able to lose of a published version is N - W servers. */
export function writeQuorum({ sharesNeeded, sharesHappy, sharesTotal }: SimConfig): number {
  return Math.max(sharesHappy, Math.floor(sharesTotal / 2) + 1, sharesNeeded);
}
