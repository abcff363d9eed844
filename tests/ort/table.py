"""Distances as text: a line for each model, then one for each group of models."""

import compare

PLACES = ("ours - exact", "vendor - exact", "ours - vendor")
# By the width of the activations, in the order of the summary: name and unit of distances.
KINDS = {
    "32": ("float", "parts of the largest"), "8": ("8 bit", "steps"), "16": ("16 bit", "steps"),
}
GROUPS = ("ops", "networks")


def head():
    """The heading of the models' lines."""
    every = "".join(f"{place:^22}" for place in PLACES)
    each = "".join(f"{'largest':>10} {'mean':>10} " for _ in PLACES)
    return ("distances: in steps where the result is quantized, otherwise in parts of the largest\n"
            f"{'':<58}{every}\n{'model':<30}{'ops':<28}{each} verdict")


def line(row):
    """One model."""
    cells = "".join(map(pair, (row.ours, row.vendor, row.apart)))
    ops = row.ops if len(row.ops) <= 26 else row.ops[:25] + "…"
    return f"{row.model:<30}{ops:<28}{cells} {first_line(row.verdict) or 'ok'}"


def pair(distance):
    """The largest distance and the mean."""
    if distance is None:
        return f"{'-':>10} {'-':>10} "
    return f"{distance.maximum:>10.4g} {distance.mean:>10.3g} "


def summary(rows):
    """Sums of the models by the width of their activations, single ops and networks apart."""
    lines = [f"{'group':<30}{'models':>8}{'passed':>8}{'equal':>8}{'nearer':>8}    "
             + "".join(f"{place:^22}" for place in PLACES)]
    for (group, width), members in groups(rows).items():
        kind, unit = KINDS[width]
        cells = "".join(pair(over_all(members, place)) for place in ("ours", "vendor", "apart"))
        passed = sum(not row.verdict for row in members)
        equal = sum(bool(row.apart) and row.apart.maximum == 0 for row in members)
        nearer = sum(map(is_nearer, members))
        lines.append(f"{f'{group}, {kind}':<30}{len(members):>8}{passed:>8}{equal:>8}{nearer:>8}"
                     f"    {cells} {unit}")
    lines.append("equal: our results are the vendor's but for the last place; "
                 "nearer: our mean is smaller")
    return "\n".join(lines)


def groups(rows):
    """Rows by (ops or networks, width), in this order."""
    found = {(group, width): [] for group in GROUPS for width in KINDS}
    for row in rows:
        found[row.group, compare.width(row.scheme)].append(row)
    return {group: members for group, members in found.items() if members}


def is_nearer(row):
    """Whether our results are nearer to the exact ones than the vendor's, in the mean."""
    if not (row.ours and row.vendor):
        return False
    return row.ours.mean + compare.LAST_PLACE < row.vendor.mean


def over_all(rows, place):
    """The largest of the largest distances and the mean of the means, where there are any."""
    every = [getattr(row, place) for row in rows if getattr(row, place)]
    if not every:
        return None
    return compare.Distance(max(it.maximum for it in every),
                            sum(it.mean for it in every) / len(every))


def first_line(text):
    """What fits behind a table."""
    return text.splitlines()[0][:160] if text else ""
