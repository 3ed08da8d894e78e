"""Run the tests of the library and all chapters as other processors would, and say which numbers depend on it.

    python tools/portable.py [--settings NAME ...] [--list]

Each setting makes this processor compute as another one does: OpenBLAS with the kernels of an older core, NumPy and the
C library without their code for newer instructions, one thread or two, without numba. Settings that this processor
cannot run, or under which it computes as under an earlier one, are named and left out. Exit status 1 if anything fails.

Beside passed and failed the table says how near to its bound a number came that is asserted (0.1: a tenth of the bound
is left) and by how much such distances differ between the settings. Numbers that a processor might push over their
bound, or whose printed digits it might change, are listed: those that stand within 10 times their spread. Only settings
that ran in one call are compared.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

from notebooks import NOTEBOOKS, ROOT

OLD_LIBC = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable,-FMA4_Usable,-AVX512F"}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
TWO_THREADS = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
ALL, AVX512 = "all of them", "those with AVX-512"  # which of its faster loops NumPy may not use
SETTINGS = {
    "as-it-is": {},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "no-AVX-512": {"NPY_DISABLE_CPU_FEATURES": AVX512},
    "no-AVX2": {"NPY_DISABLE_CPU_FEATURES": ALL, **OLD_LIBC},
    "one-thread": ONE_THREAD,
    "two-threads": TWO_THREADS,
    "no-numba": {"numba": "absent"},
}
SETTINGS["farthest"] = SETTINGS["Nehalem"] | SETTINGS["no-AVX2"] | SETTINGS["one-thread"] | SETTINGS["no-numba"]
CHAPTERS = [str(path.relative_to(ROOT)) for path in NOTEBOOKS]
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=240"]
NBVAL += ["--nbval-sanitize-with", "tests/book/nbval_sanitize.cfg"]
# What decides how this process computes: the last bits of sums, of decompositions and of elementary functions.
FINGERPRINT = """
import hashlib, importlib.util, os
import numpy as np
from scipy import linalg, special
x = np.random.default_rng(0).standard_normal((301, 301))
results = [x @ x, x @ x[0], np.linalg.eigvalsh(x + x.T), linalg.lu(x)[2], special.erf(x)]
results += [f(np.abs(x)) for f in (np.exp, np.log, np.sqrt, np.sin, np.arctan, np.tanh, np.sum, np.cumsum)]
digest = hashlib.sha256(b"".join(np.asarray(result).tobytes() for result in results)).hexdigest()
try:
    import numba
except ImportError:
    numba = None
print(digest, os.environ.get("OPENBLAS_NUM_THREADS", str(os.cpu_count())), numba is not None)
"""
NEAR = 0.9  # an asserted number is near its bound when it is more than a tenth of it
MARGIN = 10  # a number must stand farther from its bound, or from another last digit, than this many of its spreads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="run these only")
    parser.add_argument("--list", action="store_true", help="print the names of the settings")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(SETTINGS))
        return 0
    failed, runs, known = 0, {}, {}
    print(f"{'setting':12} {'passed':>6} {'failed':>6} {'minutes':>7}  nearest to its bound", flush=True)
    with tempfile.TemporaryDirectory(prefix="portable") as folder:
        for name in arguments.settings:
            place = Path(folder, name)
            environment = prepared(place, SETTINGS[name])
            fingerprint = computed(environment)
            if fingerprint is None or fingerprint in known:
                why = "not on this processor" if fingerprint is None else f"computes as '{known[fingerprint]}' does"
                print(f"{name:12} {why}", flush=True)
                continue
            known[fingerprint] = name
            begin = time.monotonic()
            runs[name], outcome = run(place, environment, arguments.parts)
            failed += outcome["failed"]
            nearest = min(((left, key) for key, left in runs[name]["asserted"].items()), default=(1.0, "-"))
            minutes = (time.monotonic() - begin) / 60
            print(f"{name:12} {outcome['passed']:6} {outcome['failed']:6} {minutes:7.1f}", end="")
            print(f"  {nearest[0]:.2g} in {nearest[1][-90:]}", flush=True)
            for what in outcome["names"]:
                print(f"{'':12} failed: {what}", flush=True)
    if len(runs) > 1:
        compare(runs)
    return 1 if failed else 0


def prepared(place, setting):
    """The environment of a setting; its files lie in the folder `place`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "NPY_"))}
    setting = dict(setting)
    path = [str(ROOT / "tools")]
    if setting.pop("numba", None):
        path.append(str(place / "absent"))
        (place / "absent").mkdir(parents=True)
        # Python imports it at every start, and then knows of no numba.
        (place / "absent" / "sitecustomize.py").write_text("import sys\nsys.modules['numba'] = None\n", "utf-8")
    if which := setting.get("NPY_DISABLE_CPU_FEATURES"):
        without = [feature for feature in numpy_features() if which is ALL or is_avx512(feature)]
        setting["NPY_DISABLE_CPU_FEATURES"] = " ".join(without)
    startup = place / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "record.py").write_text("import margins\nmargins.watch_cells()\n", "utf-8")
    ours = {"PYTHONPATH": os.pathsep.join(path), "IPYTHONDIR": str(place / "ipython")}
    return environment | setting | ours | {"PYTHONPYCACHEPREFIX": str(place / "pycache")}


def numpy_features():
    """The faster loops of NumPy that this processor can run, by the names that NumPy gives them."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]


def is_avx512(name):
    return name.startswith("AVX512") or name == "X86_V4"


def computed(environment):
    """What tells two ways to compute apart; None where this processor has no such instructions."""
    probe = subprocess.run([sys.executable, "-c", FINGERPRINT], env=environment, capture_output=True, text=True)
    if probe.returncode in (-signal.SIGILL, -signal.SIGSEGV):
        return None
    if probe.returncode:
        sys.exit(f"The setting could not be tried:\n{probe.stderr[-1000:]}")
    return probe.stdout


PARTS = {"library": ["tests/lib", "-p", "margins", "--hypothesis-seed=0"], "chapters": [*CHAPTERS, *NBVAL]}


def run(place, environment, parts):
    """The tests of the library and, at the same time, the chapters: (margins, outcome)."""
    files = {name: PARTS[name] for name in parts}
    processes = []
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for name, arguments in files.items():
        command = [*pytest, f"--junitxml={place / name}.xml", *arguments]
        log = open(place / f"{name}.log", "w", encoding="utf-8")  # noqa: SIM115
        variables = environment | {"MARGINS": str(place / f"{name}.jsonl")}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=subprocess.STDOUT))
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
        sys.exit("Interrupted.")
    outcome = {"passed": 0, "failed": 0, "names": []}
    for name in files:
        if not Path(place, f"{name}.xml").is_file():
            sys.exit(f"The {name} did not run:\n{Path(place, f'{name}.log').read_text('utf-8')[-3000:]}")
        for case in ElementTree.parse(place / f"{name}.xml").iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            outcome["passed"] += not bad and case.find("skipped") is None
            outcome["failed"] += bad
            outcome["names"] += [f"{case.get('classname')}::{case.get('name')}"] * bad
    return margins(place), outcome


def margins(place):
    """All that was recorded: of each assertion its least distance, of each print its numbers in their order."""
    found = {"asserted": {}, "printed": {}}
    for path in sorted(place.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            for key, distance in record["asserted"].items():
                found["asserted"][key] = min(distance, found["asserted"].get(key, distance))
            for key, numbers in record["printed"].items():
                found["printed"].setdefault(key, []).extend(numbers)
    return found


def compare(runs):
    """Print the largest spread of a distance near its bound, and every number within MARGIN spreads of a change."""
    risks, largest = [], (0.0, "-")
    for key in set().union(*(run["asserted"] for run in runs.values())):
        distances = [run["asserted"][key] for run in runs.values() if key in run["asserted"]]
        spread = max(distances) - min(distances)
        if min(distances) < NEAR:
            largest = max(largest, (spread, key))
            if min(distances) < MARGIN * spread:
                risks.append(f"asserted, {min(distances):.2g} to {max(distances):.2g} of its bound left: {key}")
    for key in set.intersection(*(set(run["printed"]) for run in runs.values())):
        for numbers in zip(*(run["printed"][key] for run in runs.values()), strict=False):
            values, spec = [value for value, _ in numbers], numbers[0][1]
            away = MARGIN * (max(values) - min(values))
            with contextlib.suppress(ValueError, OverflowError):
                text, *others = {format(value, spec) for value in (min(values) - away, *values, max(values) + away)}
                if others:
                    risks.append(f"printed as {text}, spread {max(values) - min(values):.1g}: {key}")
    print(f"largest spread of a number near its bound: {largest[0]:.2g} of the bound, in {largest[1]}")
    print(f"{len(risks)} numbers stand within {MARGIN} of their spreads of a change" + ":" * bool(risks))
    print("\n".join(f"  {risk}" for risk in sorted(risks)))


if __name__ == "__main__":
    sys.exit(main())
