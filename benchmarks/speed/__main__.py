"""Speed of skvae, compared with the bare arithmetic and with peers, and as data grow.

    python -m benchmarks.speed [--only ml-1m growth] [--peers recbole implicit]
        [--rounds 5] [--threads 1] [--data folder] [--output folder]

Every package (contestant) runs in a child process with the same number of threads, in a
separate environment that is made when it is first needed (peers/requirements-*.txt).
The speed of a machine changes over time, so each round times every package once, and
the best rounds are compared. Parts that are not run again keep their results in the
output, each with the commit at which it was run.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.environment import DATA, RESULTS, environment
from benchmarks.speed.environments import FOLDER, WORKERS
from benchmarks.speed.report import table
from benchmarks.speed.stages import STAGES


def main(arguments=None):
    options = parse(arguments)
    path = options.output / "speed.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    options.output.mkdir(parents=True, exist_ok=True)
    ran = environment()  # before the output changes the working tree
    ran["machine"]["threads"] = options.threads
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = {**STAGES[name](options), "environment": ran}
        path.write_text(json.dumps(results, indent=1) + "\n")
    text = table(results)
    path.with_suffix(".md").write_text(text)
    print(text)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=STAGES, default=list(STAGES))
    parser.add_argument("--peers", nargs="*", choices=WORKERS, default=list(WORKERS))
    parser.add_argument(
        "--peers-at-20m", nargs="*", choices=WORKERS, default=["recbole"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--environments", type=Path, default=FOLDER)
    parser.add_argument("--output", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
