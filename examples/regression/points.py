"""The points to fit a line through. They stand for a download: made once on a host, and then found in its cache."""

import array
import os
import random
import tempfile

COLUMNS = 6
TRUTH = (0.5, -1.25, 2.0, 0.0, 3.5, -0.75)


def load(rows):
    """The points, row by row with the value last, and whether the cache had them."""
    folder = os.environ["COMPUTALOT_CACHE_POINTS_DIR"]
    path = os.path.join(folder, f"{rows}.bin")
    points = array.array("d")
    if os.path.exists(path):
        with open(path, "rb") as file:
            points.frombytes(file.read())
        return points, True
    points.extend(made(rows))
    # Another task of the revision may do the same just now: each writes a file of its own, and the last one wins. Not one
    # named after the process: each task counts its processes by itself.
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{rows}.", delete=False) as file:
        points.tofile(file)
        os.fchmod(file.fileno(), 0o644)
    os.replace(file.name, path)
    return points, False


def made(rows):
    """The same numbers each time: so a run can be compared with another."""
    draw = random.Random(1)
    for _ in range(rows):
        row = [draw.uniform(-1, 1) for _ in range(COLUMNS)]
        yield from row
        yield sum(weight * value for weight, value in zip(TRUTH, row)) + draw.gauss(0, 0.1)
