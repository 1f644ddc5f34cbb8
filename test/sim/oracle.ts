/**
 * What is known about contents, whoever wrote them: which may ever be seen, and which may not get lost.
 *
 * A content is legal for readers elsewhere once its close or fsync has begun. It may not get lost once its close was
 * acknowledged, until somebody who saw it replaces or removes it. Contents are unique texts, so they name themselves.
 */
export interface Version {
  readonly content: string;
  readonly node: number;
  path: string;
  isClosed: boolean;
  isSynced: boolean;
  /** Replaced or removed by somebody who saw it, or perhaps: then it is not missed. */
  isSuperseded: boolean;
}

/** Shorter contents are not unique. */
export const uniqueLength = 14;

export class Oracle {
  readonly #legal = new Set<string>(['']);
  readonly #recoverable = new Set<string>();
  readonly #versions = new Map<string, Version>();
  /** Contents by capability, from the uploads. */
  readonly #byCap = new Map<string, string>();

  /** Bytes that were written and may come back after a crash under a name that says so. */
  noteWritten(content: string): this {
    this.#recoverable.add(content);
    return this;
  }

  noteCloseBegun(content: string): void {
    this.#legal.add(content);
    this.#recoverable.add(content);
  }

  noteUploaded(cap: string, content: string): void {
    this.#byCap.set(cap, content);
  }

  contentOfCap(cap: string): string | undefined {
    return this.#byCap.get(cap);
  }

  isLegal(content: string, path: string): boolean {
    return this.#legal.has(content) || (path.includes('.recovered-') && this.#recoverable.has(content));
  }

  /** A content that somebody closes at `path`. */
  begin(content: string, node: number, path: string): Version {
    const known = this.#versions.get(content);
    if (known !== undefined) return known;
    const version = { content, node, path, isClosed: false, isSynced: false, isSuperseded: false };
    this.#versions.set(content, version);
    return version;
  }

  supersede(content: string | undefined): void {
    const version = content === undefined ? undefined : this.#versions.get(content);
    if (version !== undefined) version.isSuperseded = true;
  }

  /** What stood at a path is not known: everything that ever did is not missed any more. */
  supersedeAllAt(path: string): void {
    for (const version of this.#versions.values()) if (version.path === path) version.isSuperseded = true;
  }

  versionOf(content: string): Version | undefined {
    return this.#versions.get(content);
  }

  /** The disk of a node is gone: what it had not synced may be gone too. */
  forgive(node: number): void {
    for (const version of this.#versions.values()) {
      if (version.node === node && !version.isSynced) version.isSuperseded = true;
    }
  }

  /** Acknowledged, not replaced, and in none of these. */
  missing(seen: ReadonlySet<string>): Version[] {
    return [...this.#versions.values()].filter(
      ({ content, isClosed, isSuperseded }) =>
        isClosed && !isSuperseded && content.length >= uniqueLength && !seen.has(content),
    );
  }
}
