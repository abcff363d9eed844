"""Runs models through ONNX Runtime's QNN provider on a backend, and judges the results.

Every model runs three times, each in a process of its own: on ONNX Runtime's CPU provider (the
exact result), on the vendor's backend from the wheel, and on ours. Nothing may run elsewhere.
"""

import argparse
import fnmatch
import json
import sys
from dataclasses import asdict, dataclass, field

import client
import compare
import graph
import models
import scenarios
import table
from networks import NETWORKS

LIMIT_SECONDS = 60


@dataclass
class Row:
    """What is known about one model."""

    model: str
    # Bits and kinds of the numbers: see `graph.SCHEMES`.
    scheme: str
    # "ops" or "networks".
    group: str
    ops: str
    ours: compare.Distance | None = None
    vendor: compare.Distance | None = None
    apart: compare.Distance | None = None
    verdict: str = ""
    failures: dict[str, str] = field(default_factory=dict)
    crashes: int = 0


def main():
    """Exit code 0 if every model and scenario is as it must be."""
    options = parse()
    every = models.catalogue()
    names = [name for name in every if chosen(name, options.only)]
    played = [name for name in scenarios.ALL if chosen(name, options.only)]
    if options.list:
        print("\n".join(names + played))
        return 0
    if not names and not played:
        print(f"nothing is called {options.only}")
        return 1
    rows = []
    print(table.head())
    for name in names:
        rows.append(run_model(every[name](), options))
        print(table.line(rows[-1]), flush=True)
    played = {name: scenarios.play(name, options.library or client.vendor_library(), LIMIT_SECONDS)
              for name in played}
    return report(rows, played, options)


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="models and scenarios whose name fits this pattern")
    parser.add_argument("--list", action="store_true", help="print names, run nothing")
    parser.add_argument("--json", help="file for the report")
    parser.add_argument("--graphs", help="folder for the QNN graphs that the provider composes")
    parser.add_argument("--log", action="store_true", help="print what a failed child wrote")
    backend = parser.add_mutually_exclusive_group()
    backend.add_argument("--library", help="our backend, libQnnSystem.so beside it")
    backend.add_argument("--vendor-only", action="store_true", help="run the vendor's alone")
    options = parser.parse_args()
    if not (options.library or options.vendor_only or options.list):
        parser.error("one of --library and --vendor-only is needed")
    return options


def chosen(name, pattern):
    """True if `name` is or contains `pattern`."""
    return not pattern or fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, f"*{pattern}*")


def run_model(model, options):
    """Runs one model everywhere."""
    group = "networks" if model.name.removesuffix(f"-{model.scheme}") in NETWORKS else "ops"
    row = Row(model.name, model.scheme, group, shorten(model.ops))
    dump = {"dump_json_qnn_graph": "1", "json_qnn_graph_dir": f"{options.graphs}/{model.name}"}
    results = {}
    works = {
        "exact": lambda: graph.run_on_cpu(model.proto, model.feeds),
        "vendor": lambda: client.run_every_feed(
            model, client.vendor_library(), **(dump if options.graphs else {})),
    }
    if options.library:
        works["ours"] = lambda: client.run_every_feed(model, options.library)
    for place, work in works.items():
        ended = client.in_child(work, LIMIT_SECONDS)
        results[place] = ended.value
        if ended.failure:
            row.failures[place] = ended.failure
            row.crashes += ended.crashed and place == "ours"
            if options.log:
                print(ended.log)
    judge(row, model, results)
    return row


def judge(row, model, results):
    """Fills in distances and verdict."""
    exact, vendor, ours = (results.get(place) for place in ("exact", "vendor", "ours"))
    if exact and vendor:
        row.vendor = compare.distance(model, vendor, exact, exact)
    if exact and ours:
        row.ours = compare.distance(model, ours, exact, exact)
    if ours and vendor:
        row.apart = compare.distance(model, ours, vendor, exact)
    if row.failures:
        row.verdict = "; ".join(f"{place}: {why}" for place, why in row.failures.items())
    elif row.ours:
        row.verdict = compare.verdict(model, row.ours, row.vendor)


def shorten(ops):
    """Op types with their numbers, in the order of first use."""
    counts = {}
    for op in ops:
        counts[op] = counts.get(op, 0) + 1
    words = [op if count == 1 else f"{op}x{count}" for op, count in counts.items()]
    return " ".join(words)


def report(rows, played, options):
    """Prints the sums, writes the JSON report, gives the exit code."""
    if rows:
        print(f"\n{table.summary(rows)}\n")
    for name, failure in played.items():
        print(f"scenario {name:<40} {table.first_line(failure) or 'ok'}")
    failed = sum(bool(row.verdict) for row in rows) + sum(map(bool, played.values()))
    crashes = sum(row.crashes for row in rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            every = {"models": [asdict(row) for row in rows], "scenarios": played}
            json.dump(every, file, indent=1)
    total = len(rows) + len(played)
    print(f"{crashes} crashes; {total - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
