#!/usr/bin/env python3
"""Prints test/vectors/immutable/python-caps.json: capabilities and shares as the Python implementation makes them.

Run it with the interpreter of a virtual environment that has tahoe-lafs; the encoder of that package runs as in an
upload, with shareholders that keep their shares in memory. Each entry has the capability and the SHA-256 of the
SHA-256s of all shares, in order of their numbers.
"""
import hashlib
import json

from twisted.internet import defer, task

from allmydata import uri
from allmydata.immutable import encode, layout, upload

CONVERGENCE = hashlib.sha256(b"convergence secret of the vectors").digest()
ENCODINGS = [(1, 1), (2, 3), (3, 10), (7, 11), (71, 255), (256, 256)]
SEGMENT_SIZES = [128 * 1024, 1024 * 1024]


def plaintext(size):
    """SHA-256 of 0, 1, 2... as eight bytes each, one after the other."""
    blocks = (hashlib.sha256(i.to_bytes(8, "big")).digest() for i in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def sizes(k, maximum):
    """The smallest, and those around the boundaries of the first three segments."""
    segment = (maximum + k - 1) // k * k
    around = [maximum, segment, 2 * segment] + ([3 * segment] if maximum < 2**20 else [])
    return sorted({0, 1, 55, 56, 57, *(size + d for size in around for d in (-1, 0, 1))})


class Memory:
    """A server with one share; written from front to back."""

    def __init__(self):
        self.data = b""

    def get_name(self):
        return "memory"

    def callRemote(self, name, *args):
        if name == "write":
            offset, data = args
            assert offset == len(self.data)
            self.data += bytes(data)
        return defer.succeed(None)


@defer.inlineCallbacks
def encoded(data, k, n, maximum):
    source = upload.Data(data, convergence=CONVERGENCE)
    if len(data) <= 55:
        return {"cap": uri.LiteralFileURI(data).to_string().decode()}
    source.set_default_encoding_parameters({"k": k, "happy": 1, "n": n, "max_segment_size": maximum})
    encrypted = upload.EncryptAnUploadable(source)
    encoder = encode.Encoder()
    yield encoder.set_encrypted_uploadable(encrypted)
    numbers = [encoder.get_param(name) for name in ("share_size", "block_size", "num_segments")]
    hashes = len(upload.hashtree.IncompleteHashTree(n).needed_hashes(0, include_leaf=True))
    memories = [Memory() for _ in range(n)]
    writers = {
        i: layout.WriteBucketProxy(memory, memory, *numbers, hashes, encoder.get_uri_extension_size())
        for i, memory in enumerate(memories)
    }
    encoder.set_shareholders(writers, {i: {b"server"} for i in range(n)})
    verify_cap = yield encoder.start()
    key = yield source.get_encryption_key()
    cap = uri.CHKFileURI(key, verify_cap.uri_extension_hash, k, n, len(data))
    digests = b"".join(hashlib.sha256(memory.data).digest() for memory in memories)
    return {"cap": cap.to_string().decode(), "sharesSha256": hashlib.sha256(digests).hexdigest()}


@defer.inlineCallbacks
def main(reactor):
    content = plaintext(3 * 2**20)
    files = []
    for k, n in ENCODINGS:
        for maximum in SEGMENT_SIZES:
            for size in sizes(k, maximum):
                entry = yield encoded(content[:size], k, n, maximum)
                files.append({"needed": k, "total": n, "maximumSegmentSize": maximum, "size": size, **entry})
    lines = ",\n".join(json.dumps(entry) for entry in files)
    print('{"convergenceSecret": "%s", "files": [\n%s\n]}' % (CONVERGENCE.hex(), lines))


task.react(main)
