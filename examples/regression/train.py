"""Fits a line through many points by gradient descent, with a checkpoint to go on from.

What it is given and where it may write is in the environment; the root of its container is read-only.
"""

import json
import os
import platform
import time

import points

LEARNING_RATE = 0.000004
# A checkpoint is kept only where nothing has written to it for two seconds, so let some more be between two.
CHECKPOINT_SECONDS = 4
LOG_SECONDS = 1


def main():
    artifacts = os.environ["COMPUTALOT_ARTIFACT_DIR"]
    checkpoint = os.path.join(artifacts, "checkpoint", "latest.json")
    with open(os.environ["COMPUTALOT_TASK_PAYLOAD"]) as file:
        payload = {"rows": 5000, "passes": 1500, **json.load(file)}

    data, was_cached = points.load(payload["rows"])
    print(f"{payload['rows']} points, {'from the cache' if was_cached else 'made now'}", flush=True)

    # Of an attempt before this one, if the job was submitted with --resume-from-latest.
    state = {"passes": 0, "weights": [0.0] * points.COLUMNS}
    if os.path.exists(checkpoint):
        with open(checkpoint) as file:
            state = json.load(file)
    begun_at = state["passes"]
    print(f"begins at pass {begun_at} of {payload['passes']}", flush=True)

    logged = saved = time.monotonic()
    while state["passes"] < payload["passes"]:
        error = one_pass(state["weights"], data)
        state["passes"] += 1
        now = time.monotonic()
        if now - logged >= LOG_SECONDS:
            print(f"pass {state['passes']}: mean squared error {error:.6f}", flush=True)
            logged = now
        if now - saved >= CHECKPOINT_SECONDS:
            write(checkpoint, state)
            saved = now

    write(
        os.path.join(artifacts, "result.json"),
        {
            "passes": state["passes"],
            "weights": state["weights"],
            "largest_error": max(abs(w - t) for w, t in zip(state["weights"], points.TRUTH)),
            "begun_at": begun_at,
            "was_cached": was_cached,
            "kernel": platform.release(),
        },
    )
    print("the result is in result.json", flush=True)


def one_pass(weights, data):
    """Corrects the weights point by point; the mean squared error on the way."""
    width = points.COLUMNS + 1
    squares = 0.0
    for at in range(0, len(data), width):
        *row, value = data[at : at + width]
        error = sum(weight * x for weight, x in zip(weights, row)) - value
        squares += error * error
        for column, x in enumerate(row):
            weights[column] -= LEARNING_RATE * error * x
    return squares / (len(data) // width)


def write(path, content):
    """Under another name first: whoever reads it, and whenever this is killed, finds the old one or the new one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w") as file:
        json.dump(content, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


if __name__ == "__main__":
    main()
