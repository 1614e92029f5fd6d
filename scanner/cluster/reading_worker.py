"""The process that reads manifests for another: requests on standard input, answers on standard output.

It is the only place where rapidyaml runs: should that crash on what a stranger wrote, or write to standard error, it
does so here. What the process reads lies on its side of the pipe until it is decoded and trimmed.
"""

import struct
import sys
from typing import IO

import msgspec

from scanner.cluster.documents import Document
from scanner.cluster.manifest_files import read_documents
from scanner.cluster.masking import share_key
from scanner.cluster.reading import Outcome, Reader, Refusal

#: Messages in both directions are preceded by their length.
LENGTH = struct.Struct(">Q")


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """What is read at one time: files by path and label, or documents."""

    files: list[tuple[str, str]] = []
    documents: list[Document] = []
    #: How much there is to read, as far as that is known.
    size_bytes: int = 0


def read_batch(batch: Batch, reader: Reader) -> Outcome:
    """Return what comes of a batch, in its order."""
    outcome = Outcome([], [], [])
    for path, label in batch.files:
        for document in read_documents(path, label):
            if isinstance(document, Refusal):
                outcome.refusals.append(document)
            else:
                outcome.extend(reader.read(document))
    for document in batch.documents:
        outcome.extend(reader.read(document))
    return outcome


def receive(stream: IO[bytes]) -> bytes:
    """Return one message, empty if the other side is gone."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return b""
    (length,) = LENGTH.unpack(head)
    message = stream.read(length)
    return message if len(message) == length else b""


def send(stream: IO[bytes], message: bytes) -> None:
    """Send one message."""
    stream.write(LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def main() -> None:
    """Answer until the other side is gone."""
    # Imported here: who starts these processes never loads it.
    from scanner.cluster.yaml_fast import FastReader  # noqa: PLC0415

    share_key(receive(sys.stdin.buffer))
    reader = Reader(FastReader())
    while message := receive(sys.stdin.buffer):
        outcome = read_batch(msgspec.msgpack.decode(message, type=Batch), reader)
        send(sys.stdout.buffer, msgspec.msgpack.encode(outcome))
