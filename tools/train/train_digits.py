#!/usr/bin/env python3
"""Train, quantize and write the digit network: everything in data/digits.

    python3 tools/train/train_digits.py            writes the files
    python3 tools/train/train_digits.py --check    compares them with the files, writes nothing

The result is the same bytes whatever the machine; see exact.py.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the matrices are small: threads only wait

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import floatnet
import intnet
import quantize

SPLIT_SEED = 20240611
HELD_OUT = 360
ROOT = pathlib.Path(__file__).resolve().parents[2]


def json_lines(document):
    """JSON with one tensor or node per line."""
    def rows(key):
        return ",\n".join("  " + json.dumps(item, separators=(",", ":")) for item in document[key])
    return (f'{{"name":{json.dumps(document["name"])},\n"tensors":[\n{rows("tensors")}\n],\n'
            f'"nodes":[\n{rows("nodes")}\n]}}\n')


def tensor_table(document):
    """Markdown table of the tensors."""
    lines = ["| tensor | type | data type | dims | scale | offset |", "|---|---|---|---|---|---|"]
    for t in document["tensors"]:
        q = t["quantization"]
        if "axis" in q:
            scales = [s for s, _ in q["scale_offset"]]
            scale = f"{min(scales):.6g} .. {max(scales):.6g}, one per index of axis {q['axis']}"
            offset = 0
        else:
            scale, offset = f"{q['scale']:.6g}", q["offset"]
        kind = t["type"].removeprefix("QNN_TENSOR_TYPE_")
        data_type = t["data_type"].removeprefix("QNN_DATATYPE_")
        dims = "x".join(map(str, t["dims"]))
        lines.append(f"| {t['name']} | {kind} | {data_type} | {dims} | {scale} | {offset} |")
    return "\n".join(lines)


def node_table(document):
    """Markdown table of the nodes."""
    lines = ["| node | op | inputs | output | parameters |", "|---|---|---|---|---|"]
    for n in document["nodes"]:
        params = "; ".join(f"{p['name']} {p['data']}" for p in n["params"])
        inputs = ", ".join(n["inputs"])
        lines.append(f"| {n['name']} | {n['type']} | {inputs} | {n['outputs'][0]} | {params} |")
    return "\n".join(lines)


def readme(document, files, scores):
    """The README of the data directory, from its template."""
    sums = "\n".join(f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in files.items())
    weights = sum(len(t["data"]) for t in document["tensors"] if t["name"].endswith("_weight"))
    template = pathlib.Path(__file__).with_name("README.template.md").read_text("utf-8")
    for key, value in {"sums": sums.replace("\n", "\n    "), "weights": weights,
                       "tensors": tensor_table(document),
                       "nodes": node_table(document), **scores}.items():
        template = template.replace("{" + key + "}", str(value))
    return template.encode("utf-8")


def generate():
    """All files of data/digits by name."""
    digits = load_digits()
    pixels, label = digits.data.astype(np.uint8), digits.target
    train, held_out = train_test_split(
        np.arange(len(label)), test_size=HELD_OUT, random_state=SPLIT_SEED, stratify=label)
    train, held_out = np.sort(train), np.sort(held_out)

    image = pixels.reshape(-1, 8, 8, 1) / 16.0
    parameters = floatnet.train(image[train], label[train])
    document = quantize.network_document(parameters, image[train])
    real = floatnet.forward(parameters, image)[0]["logits"]
    integer = intnet.logits(document, pixels)

    scores = {}
    for kind, values in [("float", real), ("integer", integer)]:
        for part, chosen in [("train", train), ("held_out", held_out)]:
            right = int((values.argmax(axis=1) == label)[chosen].sum())
            scores[f"{kind}_{part}"] = f"{right / len(chosen):.4f} ({right} of {len(chosen)})"
    files = {
        "images.bin": pixels.tobytes(),
        "labels.bin": label.astype(np.uint8).tobytes(),
        "heldout.bin": held_out.astype("<u2").tobytes(),
        "network.json": json_lines(document).encode("ascii"),
        "logits.bin": integer.tobytes(),
    }
    files["README.md"] = readme(document, files, scores)
    for name, score in scores.items():
        print(f"{name}: {score}")
    return files


def main():
    parser = argparse.ArgumentParser(description="Train and quantize the digit network.")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data" / "digits")
    parser.add_argument("--check", action="store_true", help="compare with the files in --out")
    options = parser.parse_args()
    files = generate()
    if options.check:
        different = [name for name, data in files.items()
                     if not (options.out / name).is_file()
                     or (options.out / name).read_bytes() != data]
        print("different: " + ", ".join(different) if different else "all files are identical")
        return 1 if different else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (options.out / name).write_bytes(data)
        print(f"wrote {options.out / name} ({len(data)} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
