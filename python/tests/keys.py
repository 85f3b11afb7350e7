"""A server that wants a key, and a key that may read: ADDRESS KEY."""

import sys

import simile

address, key = sys.argv[1:]


def refused(kind, client):
    try:
        client.create_collection("made", words_only=True)
    except kind as error:
        assert error.message, error
    else:
        raise AssertionError(f"not refused: {kind.__name__}")


refused(simile.Unauthenticated, simile.connect(address))
refused(simile.Unauthenticated, simile.connect(address, key="simile_wrong"))
with simile.connect(address, key=key, timeout=30) as reader:
    assert reader.collections() == []
    refused(simile.PermissionDenied, reader)
    refused(simile.PermissionDenied, reader.with_timeout(20))
print("done")
