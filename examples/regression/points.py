"""The points to fit a line through. They stand for a download: made once on a host, and then found in its cache."""

import array
import os
import random

COLUMNS = 6
TRUTH = (0.5, -1.25, 2.0, 0.0, 3.5, -0.75)


def load(rows):
    """The points, row by row with the value last, and whether the cache had them."""
    path = os.path.join(os.environ["COMPUTALOT_CACHE_POINTS_DIR"], f"{rows}.bin")
    points = array.array("d")
    if os.path.exists(path):
        with open(path, "rb") as file:
            points.frombytes(file.read())
        return points, True
    points.extend(made(rows))
    # Another task of the revision may do the same just now: each writes a file of its own, and the last one wins.
    draft = f"{path}.{os.getpid()}"
    with open(draft, "wb") as file:
        points.tofile(file)
    os.replace(draft, path)
    return points, False


def made(rows):
    """The same numbers each time: so a run can be compared with another."""
    draw = random.Random(1)
    for _ in range(rows):
        row = [draw.uniform(-1, 1) for _ in range(COLUMNS)]
        yield from row
        yield sum(weight * value for weight, value in zip(TRUTH, row)) + draw.gauss(0, 0.1)
