"""Counts the instructions of one registration: count.py PROGRAM BASELINE [--keep].

Runs the benchmark under callgrind with two numbers of registrations; the difference is what the registrations cost, without
the start. Instructions do not depend on what else the machine does, so a change of a few percent is real. Fails if one
registration costs more than the number in the file BASELINE by more than TOLERANCE; --keep writes the new number there.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FEW, MANY = 200, 2200
# Hash seeds, challenges and the moment of the upkeep differ between runs.
TOLERANCE = 0.03


def instructions(program: str, registrations: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program, str(registrations)],
            capture_output=True, text=True, timeout=600, check=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def main() -> int:
    program, baseline, keep = sys.argv[1], Path(sys.argv[2]), "--keep" in sys.argv[3:]
    each = round((instructions(program, MANY) - instructions(program, FEW)) / (MANY - FEW))
    known = int(baseline.read_text())
    change = each / known - 1
    print(f"one registration: {each} instructions, {change:+.1%} against {known}")
    if keep:
        baseline.write_text(f"{each}\n")
    elif change > TOLERANCE:
        print(f"more than {TOLERANCE:.0%} above {baseline}: find out why, or keep the new number with --keep")
        return 1
    return 0


sys.exit(main())
