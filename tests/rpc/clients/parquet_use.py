"""What users of pyarrow and pandas do with an export, and what they write for an import: FOLDER STEP."""

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet

folder, step = Path(sys.argv[1]), sys.argv[2]

if step == "read":
    table = pyarrow.parquet.read_table(folder / "notes.parquet")
    assert table.column_names == [
        "id", "part", "text", "span", "payload", "expires_unix_ms", "vector_s", "vector_tokens", "vector_v",
    ], table.column_names
    rows = {row["id"]: row for row in table.to_pylist()}
    assert sorted(rows) == ["a", "b", "c", "d"]
    assert rows["a"]["vector_v"] == [0.0, 1.0] and rows["a"]["text"] == "the ferry leaves the harbour"
    assert rows["a"]["vector_tokens"] == [[1.0, 0.0], [0.0, 1.0]] and rows["c"]["vector_tokens"] is None
    assert rows["d"]["vector_s"] == {"indices": [3, 4294967290], "values": [0.5, 1.0]}
    assert json.loads(rows["b"]["payload"]) == {"topic": "harbour", "year": 2021}
    assert b"simile_export" in table.schema.metadata
    frame = pandas.read_parquet(folder / "notes.parquet")
    assert list(frame[frame["id"] == "d"]["vector_v"].iloc[0]) == [3.0, 1.0]
    # Changed by pandas, which forgets what the file said of itself, and written again.
    frame = frame[frame["id"] != "b"]
    frame.to_parquet(folder / "fewer.parquet")
elif step == "write":
    # As others write them: numbers as ids, doubles, lists of a fixed size, times, nested columns.
    count = 300
    when = datetime(2024, 2, 29, 12, 30, tzinfo=timezone.utc)
    columns = {
        "id": pyarrow.array(range(count), pyarrow.int64()),
        "text": pyarrow.array([f"note {i} of a ferry" for i in range(count)], pyarrow.large_string()),
        "embedding": pyarrow.array([[float(i), 1.0] for i in range(count)], pyarrow.list_(pyarrow.float64(), 2)),
        "year": pyarrow.array([2000 + i % 20 if i % 10 else None for i in range(count)], pyarrow.int32()),
        "score": pyarrow.array([0.5 if i % 2 else float("nan") for i in range(count)], pyarrow.float32()),
        "when": pyarrow.array([when] * count, pyarrow.timestamp("ns", tz="UTC")),
        "day": pyarrow.array([when.date()] * count, pyarrow.date32()),
        "tags": pyarrow.array([["a", "b"][: i % 3] for i in range(count)], pyarrow.list_(pyarrow.string())),
        "place": pyarrow.array([{"lat": 54.0, "lon": float(i % 90)} for i in range(count)]),
        "is_new": pyarrow.array([i % 2 == 0 for i in range(count)]),
        "kind": pyarrow.array(["x", "y", "z"] * (count // 3)).dictionary_encode(),
    }
    table = pyarrow.table(columns)
    for codec in ["snappy", "zstd", "gzip", "lz4", "none"]:
        name = folder / f"{codec}.parquet"
        pyarrow.parquet.write_table(table, name, compression=codec, row_group_size=77)
    frame = pandas.DataFrame(
        {"key": [f"k{i}" for i in range(50)], "v": [[float(i), -1.0] for i in range(50)], "words": ["a tide"] * 50}
    )
    frame.set_index("key").to_parquet(folder / "frame.parquet")
print("done")
