import type { TubId, WriteEnabler } from '../encoding/brands.js';
import { concatBytes } from '../encoding/bytes.js';
import type { FileStore, OpenedFile } from '../platform/file-store.js';
import { mutableDataOffset, serializeMutableHeader } from '../share-layout/containers.js';
import type { LeaseGrant, SlotEdit } from './backend.js';
import { type DiskMutableShare, MutableLeases } from './disk-share.js';

/** Containers up to this size are put together in memory and written at once. */
const IN_MEMORY_LIMIT = 1024 * 1024;

export interface ContainerRewrite {
  /** The share as it stands; undefined to make one. */
  readonly old: DiskMutableShare | undefined;
  readonly edit: SlotEdit;
  readonly writeEnabler: WriteEnabler;
  readonly nodeId: TubId;
  readonly lease: LeaseGrant;
}

/** Whether applying `edit` to this share would change its data; if not, only its lease needs attention. */
export function changesData(share: DiskMutableShare, edit: SlotEdit): boolean {
  return edit.writes.length > 0 || (edit.newLength !== null && edit.newLength < share.sizeBytes);
}

/**
 * Writes the container as it is after the edit to a new file at `path`, durably. A container is replaced as a whole
 * instead of changed in place, so that a crash leaves the old share or the new one.
 */
export async function writeEditedContainer(files: FileStore, path: string, rewrite: ContainerRewrite): Promise<void> {
  const { old, edit } = rewrite;
  const dataLength = lengthAfter(old?.sizeBytes ?? 0, edit);
  const file = await files.open(path, 'create-new');
  try {
    const { head, tail } = await surroundings(rewrite, dataLength);
    if (dataLength <= IN_MEMORY_LIMIT) {
      await file.write(0, [head, await editedData(old, edit, dataLength), tail]);
    } else {
      await file.write(0, [head]);
      await copyEdited(file, old, edit, dataLength);
      await file.write(mutableDataOffset + dataLength, [tail]);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function lengthAfter(oldLength: number, edit: SlotEdit): number {
  const written = edit.writes.reduce((end, write) => Math.max(end, write.offset + write.data.length), oldLength);
  return edit.newLength === null ? written : Math.min(written, edit.newLength);
}

/** What stands before the data and behind it. */
async function surroundings(rewrite: ContainerRewrite, dataLength: number) {
  const { old, writeEnabler, nodeId } = rewrite;
  const version = old?.container.version ?? 2;
  const leases = old === undefined ? new MutableLeases() : await old.leases();
  leases.grant(version, rewrite.lease, nodeId);
  const header = serializeMutableHeader({
    version,
    nodeId: old?.container.nodeId ?? nodeId,
    writeEnabler,
    dataLength,
    extraLeasesOffset: mutableDataOffset + dataLength,
  });
  const { slots, extra } = leases.serialize();
  return { head: concatBytes([header, slots]), tail: extra };
}

async function editedData(old: DiskMutableShare | undefined, edit: SlotEdit, dataLength: number): Promise<Uint8Array> {
  const data = new Uint8Array(dataLength);
  if (old !== undefined && !overwritesAll(edit, old.sizeBytes)) {
    data.set(await old.read(0, Math.min(old.sizeBytes, dataLength)));
  }
  for (const write of edit.writes) {
    if (write.offset < dataLength) data.set(write.data.subarray(0, dataLength - write.offset), write.offset);
  }
  return data;
}

/** The usual publish writes the whole share in one piece: then the old bytes need not be read. */
function overwritesAll(edit: SlotEdit, oldLength: number): boolean {
  return edit.writes.some((write) => write.offset === 0 && write.data.length >= oldLength);
}

async function copyEdited(
  file: OpenedFile,
  old: DiskMutableShare | undefined,
  edit: SlotEdit,
  dataLength: number,
): Promise<void> {
  const kept = old === undefined || overwritesAll(edit, old.sizeBytes) ? 0 : Math.min(old.sizeBytes, dataLength);
  for (let position = 0; position < kept; position += IN_MEMORY_LIMIT) {
    const piece = await old?.read(position, Math.min(IN_MEMORY_LIMIT, kept - position));
    if (piece !== undefined) await file.write(mutableDataOffset + position, [piece]);
  }
  for (const write of edit.writes) {
    const data = write.data.subarray(0, Math.max(0, dataLength - write.offset));
    await file.write(mutableDataOffset + write.offset, [data]);
  }
}
