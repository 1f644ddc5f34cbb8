/** The number that makes a newer announcement replace an older one: introducer spec 9.5. */
import { encodeBase32 } from '../encoding/base32.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Entropy } from '../platform/entropy.js';
import type { TextFiles } from '../platform/text-files.js';

const FILE = 'announcement-seqnum';
const NONCE_BYTES = 32;

export interface SequenceFields {
  readonly seqnum: number;
  readonly nonce: string;
}

/** One for a node, however many introducers it has. */
export class AnnouncementSequencer {
  readonly #files: TextFiles;
  readonly #entropy: Entropy;
  #last: Promise<unknown> = Promise.resolve();

  /** `files`: the node directory. */
  constructor(files: TextFiles, entropy: Entropy) {
    this.#files = files;
    this.#entropy = entropy;
  }

  /** A number greater than all before, also those before a crash. Kind `invalid` if the file holds no number. */
  next(): Promise<SequenceFields> {
    const next = this.#last.then(() => this.#advance());
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #advance(): Promise<SequenceFields> {
    const text = (await this.#files.read(FILE))?.trim() ?? '0';
    const seqnum = Number(text) + 1;
    if (!/^\d{1,15}$/.test(text)) {
      throw new TahoeError(`${FILE} does not hold a number`, {
        kind: 'invalid',
        op: 'introducer.publish',
        subject: FILE,
      });
    }
    await this.#files.write(FILE, `${seqnum}\n`);
    return { seqnum, nonce: encodeBase32(this.#entropy.bytes(NONCE_BYTES)) };
  }
}
