"""The figures as people read them."""

from typing import Any

Row = dict[str, Any]
_FILTERS = [f"filter_{kind}_{percent}_ms" for kind in ("ids", "facts") for percent in (1, 10, 50)]
_CHANGES = [f"{kind}{count}_ms" for kind in ("add", "drop") for count in (1, 1000)]
_GROWING = ("p50_ms", "p95_ms", "qps64", "ram_bytes", "disk_bytes", "build_s", "cold_start_s", *_CHANGES, *_FILTERS)


def table(rows: list[Row]) -> str:
    """All engines at one size. A dash is what an engine can't do; why is said below."""
    first = rows[0]
    searches = _lines(
        [
            "engine", "p50 ms", "p95 ms", f"x {first['engine']}", "x floor", "per s, 64", "identical", "same set",
            "RAM MB", "disk MB", "build s", "cold s", "from disk s",
        ],
        [
            [
                row["engine"], _number(row["p50_ms"]), _number(row["p95_ms"]), _times(row["p50_ms"], first["p50_ms"]),
                _times(row["p50_ms"], row["floor_ms"]), _number(row["qps64"]),
                f"{row['identical_lists']}/{row['queries']}", f"{row['same_sets']}/{row['queries']}",
                _number(row["ram_bytes"] / 1e6), _number(row["disk_bytes"] / 1e6), _number(row["build_s"]),
                _number(row["cold_start_s"]), _number(row["cold_start_disk_s"]),
            ]
            for row in rows
        ],
    )  # fmt: skip
    changes = _lines(
        [
            "ms", "add 1", "add 1000", "drop 1", "drop 1000", "ids 1 %", "10 %", "50 %", "facts 1 %", "10 %", "50 %",
            "identical",
        ],
        [
            [
                row["engine"], *(_number(row[name]) for name in (*_CHANGES, *_FILTERS)),
                f"{row['filter_identical_lists']}/{row['filter_queries']}",
            ]
            for row in rows
        ],
    )  # fmt: skip
    floors = f"The floor is {_number(first['floor_ms'])} ms for float16, {_number(first['floor_int8_ms'])} ms for int8."
    return "\n".join([floors, "", searches, "", changes, "", *filter(None, map(_remarks, rows))])


def growth(rows: list[Row]) -> str:
    """Every figure of every engine by the number of rows, and how many times the rows and the figure grew."""
    sizes = sorted({row["rows"] for row in rows})
    parts = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        own = {row["rows"]: row for row in rows if row["engine"] == engine}
        lines = []
        for name in _GROWING:
            unit = 1e6 if name.endswith("_bytes") else 1
            values = [own[size][name] if size in own else None for size in sizes]
            told = [value / unit for value in values if value is not None]
            if told:
                shown = [_number(None if value is None else value / unit) for value in values]
                lines.append([name.replace("_bytes", "_mb"), *shown, f"x {_times(told[-1], told[0])}"])
        head = [engine, *(f"{size:,}" for size in sizes), f"rows x {_times(max(own), min(own))}"]
        parts.append(_lines(head, lines))
    return "\n\n".join(parts)


def _remarks(row: Row) -> str:
    why: dict[str, list[str]] = {}
    for name, reason in row["cannot"].items():
        what = f"filter by {name.split('_')[1]}" if name.startswith("filter") else name
        if what not in why.setdefault(reason, []):
            why[reason].append(what)
    told = [*row["notes"], *(f"no {', no '.join(whats)}: {reason}" for reason, whats in why.items())]
    if "rescored_max" in row:
        private, mapped = (_number(row[f"second_reader_{name}_bytes"] / 1e6) for name in ("private", "rss"))
        ram, filtered = (_times(row[name], row["ram_expected_bytes"]) for name in ("ram_bytes", "ram_filtered_bytes"))
        told += [
            f"{row['batch_identical_lists']}/{row['batch_queries']} lists of its batches identical",
            f"scored again: {row['rescored_median']} rows in the median, {row['rescored_max']} at most",
            f"RAM is {ram} x codes, ids and facts, {filtered} x after the filters",
            f"a second process has {mapped} MB of it mapped, {private} MB of its own",
        ]
    return f"{row['engine']} ({row['version']}): {'; '.join(told)}." if told else ""


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def _times(value: float, of: float) -> str:
    return f"{value / of:.2f}" if of else "-"


def _lines(head: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as they have to be, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in (head, rule, *rows)
    )
