"""What a chapter may not be. Each guard takes a parsed notebook and returns its complaints; an empty list is a pass.

test_book.py asks every guard about every chapter; test_guards.py shows every guard something that it must refuse.
"""

import ast
import base64
import io
import json
import re
import tempfile
import tokenize
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from notebooks import NOTEBOOKS, ROOT  # noqa: F401  (NOTEBOOKS for the tests)
from reading_measures import HIDDEN

TEMPLATE = ROOT / "tools" / "chapter_template.ipynb"  # the only place that holds the bootstrap cell


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tree(cell):
    """The syntax tree of a cell; magics such as %pip become calls of get_ipython()."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def tags(cell):
    return cell.metadata.get("tags", [])


def label(cell):
    """The first line of a cell, to find it by."""
    return repr(cell.source.strip().split("\n")[0][:60])


def has_figure(cell):
    return any(kind in out.get("data", {}) for out in cell.outputs for kind in ("image/png", "image/svg+xml"))


def text_of(output):
    """What an output shows as text, pictures left out."""
    shown = {kind: data for kind, data in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps(shown, ensure_ascii=False) + output.get("text", "") + "\n".join(output.get("traceback", []))


# Stored as run


def opens_with_a_title(notebook):
    first = notebook.cells[0]
    return [] if first.cell_type == "markdown" and first.source.startswith("# ") else ["the first cell is no title"]


def was_run_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    return [] if counts and counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


def is_normalised(notebook):
    """As tools/normalise_notebooks.py stores it: kernel python3, no widget state, nothing of one machine."""
    complaints = []
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        complaints.append("the kernel is not python3")
    if extra := set(notebook.metadata) - {"kernelspec", "language_info"}:
        complaints.append(f"metadata holds {sorted(extra)}; run `make notebooks`")
    if "version" in notebook.metadata.get("language_info", {}):
        complaints.append("metadata names a version of Python; run `make notebooks`")
    for cell in filter(has_figure, code_cells(notebook)):
        pictures = [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]
        if any(base64.b64decode(picture)[25] != 3 for picture in pictures):  # the colour type in a PNG's header
            complaints.append(f"{label(cell)} holds a picture without a palette; run `make notebooks`")
        if any("<metadata>" in out.get("data", {}).get("image/svg+xml", "") for out in cell.outputs):
            complaints.append(f"{label(cell)} holds a picture that names its date; run `make notebooks`")
    timed = [cell for cell in notebook.cells if "execution" in cell.metadata]
    return complaints + [f"{label(cell)} holds the times of its run" for cell in timed]


def has_no_errors(notebook):
    return [
        f"{label(cell)} stores an error"
        for cell in code_cells(notebook)
        if "raises-exception" not in tags(cell) and any(out.output_type == "error" for out in cell.outputs)
    ]


def has_no_stderr(notebook):
    return [
        f"{label(cell)} stores stderr"
        for cell in code_cells(notebook)
        if any(out.get("name") == "stderr" for out in cell.outputs)
    ]


def outputs_are_small(notebook):
    return [
        f"{label(cell)} stores an output of {len(json.dumps(out)) // 1000} kB"
        for cell in code_cells(notebook)
        for out in cell.outputs
        if len(json.dumps(out)) > 200_000
    ]


# Runs anywhere, the same each time


MACHINE_PATH = re.compile(
    r"(?<![\w.:/\\{}~])/(?:home|Users|root|tmp|usr|var|opt|mnt|content|private)(?:/\w|\b(?=[\s'\"]|$))"
    r"|\b[A-Z]:\\+(?:Users|Windows|Program|Temp)|~/\w"
)


def has_no_machine_paths(notebook):
    here = [str(ROOT), str(Path.home()) + "/", tempfile.gettempdir() + "/"]
    complaints = []
    for cell in notebook.cells:
        for text in [cell.source] + [text_of(out) for out in cell.get("outputs", [])]:
            if MACHINE_PATH.search(text) or any(path in text for path in here):
                complaints.append(f"{label(cell)} names a path of one machine")
    return complaints


def draws_from_its_own_generator(notebook):
    """Random numbers come from a seeded default_rng that the chapter holds, never from module state."""
    allowed = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64"}
    complaints = []
    for cell in code_cells(notebook):
        for node in ast.walk(tree(cell)):
            complaint = None
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
                complaint = node.attr not in allowed and f"np.random.{node.attr}"
            elif isinstance(node, ast.Import):
                complaint = any(alias.name in ("random", "numpy.random") for alias in node.names) and "import random"
            elif isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
                complaint = node.module == "random" or {alias.name for alias in node.names} - allowed
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("default_rng"):
                complaint = not (node.args or node.keywords) and "default_rng without a seed"
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".rvs"):
                complaint = "random_state" not in {word.arg for word in node.keywords} and "rvs without random_state"
            if complaint:
                complaints.append(f"{label(cell)} draws from module state: {complaint}")
    return complaints


def starts_with_bootstrap(notebook):
    ours, first = code_cells(read(TEMPLATE))[0], code_cells(notebook)[0]
    same = first.source == ours.source and tags(first) == tags(ours)
    return [] if same else [f"the first code cell is not the bootstrap cell of {TEMPLATE.name}"]


def installs_nothing_else(notebook):
    install = re.compile(r"^\s*[%!]+\s*(?:pip|conda|mamba|uv|apt)|\b(?:pip|conda)['\", ]+install", re.MULTILINE)
    return [f"{label(cell)} installs packages" for cell in code_cells(notebook)[1:] if install.search(cell.source)]


def leaves_paths_alone(notebook):
    """`lib` is installed: no chapter touches sys.path or the working directory."""
    touched = re.compile(r"sys\.path|from sys import path|os\.chdir|^\s*%cd\b", re.MULTILINE)
    return [f"{label(cell)} touches paths" for cell in code_cells(notebook) if touched.search(cell.source)]


def is_compared_by_nbval(notebook):
    """Only widgets, whose output nbval cannot follow, are exempt; they are then not shown on the page either."""
    complaints = []
    for cell in code_cells(notebook):
        markers = {tag for tag in tags(cell) if tag.startswith("nbval")}
        markers |= set(re.findall(r"#\s*(?:PYTEST|NBVAL)_\w+", cell.source))
        widget = "widgets" in cell.source and "remove-output" in tags(cell) and markers == {"nbval-ignore-output"}
        if markers and not widget:
            complaints.append(f"{label(cell)} is exempt from comparison, and is no widget with remove-output")
    return complaints


# Reads well


def cells_are_short(notebook):
    """At most 25 lines. Longer code belongs into lib."""
    lengths = {label(cell): len(cell.source.strip().splitlines()) for cell in code_cells(notebook)}
    return [f"{cell} has {n} lines" for cell, n in lengths.items() if n > 25]


def has_no_semicolons(notebook):
    """A semicolon that hides an output is not honoured by nbval; one between statements is hard to read."""
    complaints = []
    for cell in code_cells(notebook):
        code = TransformerManager().transform_cell(cell.source)
        if any(token.string == ";" for token in tokenize.generate_tokens(io.StringIO(code).readline)):
            complaints.append(f"{label(cell)} has a semicolon")
    return complaints


def figures_are_described(notebook):
    """metadata.mystnb: image.alt says what is to be seen, figure.caption what it means."""
    complaints = []
    for cell in filter(has_figure, code_cells(notebook)):
        mystnb = cell.metadata.get("mystnb", {})
        alt, caption = mystnb.get("image", {}).get("alt", ""), mystnb.get("figure", {}).get("caption", "")
        if not is_description(alt):
            complaints.append(f"{label(cell)} draws a figure without a real alt text: {alt!r}")
        if len(caption.split()) < 4:
            complaints.append(f"{label(cell)} draws a figure without a real caption: {caption!r}")
    return complaints


def is_description(alt):
    """At least 40 characters in words, and no file name."""
    return len(alt) >= 40 and len(alt.split()) >= 6 and not re.search(r"\.(?:png|svg|jpe?g)\b", alt)


def is_live_plot(cell):
    return "with live_plot() as " in cell.source


def figures_fold_their_code(notebook):
    """The page shows the figure; how it is drawn is one click away. One line that draws a live plot is the point."""
    drawn = [cell for cell in code_cells(notebook) if has_figure(cell) and not is_live_plot(cell)]
    unfolded = [cell for cell in drawn if "hide-input" not in tags(cell)]
    return [f"{label(cell)} draws a figure and is not tagged hide-input" for cell in unfolded]


def figures_stay_in_their_frame(notebook):
    """A shape that is clipped is drawn all the same: a circle of a million widths stops a browser."""
    complaints = []
    for cell in filter(has_figure, code_cells(notebook)):
        pictures = [out.get("data", {}).get("image/svg+xml", "") for out in cell.outputs]
        shapes = [d for picture in pictures for d in re.findall(r' d="([^"]*)"', picture)]
        farthest = max((abs(float(x)) for d in shapes for x in re.findall(r"-?[\d.]+(?:e[-+]?\d+)?", d)), default=0.0)
        if farthest > 20_000:
            complaints.append(f"{label(cell)} draws up to {farthest:.0f} points away")
    return complaints


def figures_end_with_show(notebook):
    return [
        f"{label(cell)} draws a figure and does not end with plt.show()"
        for cell in filter(has_figure, code_cells(notebook))
        if cell.source.strip().splitlines()[-1] != "plt.show()" and not is_live_plot(cell)
    ]


def figures_are_checked(notebook):
    """nbval never compares pictures: one of the next two code cells asserts and prints the numbers that were drawn.

    What a live plot draws is tested with the library.
    """
    cells = [cell for cell in code_cells(notebook) if not is_live_plot(cell)]
    return [
        f"{label(cell)} draws a figure whose numbers no cell asserts and prints"
        for i, cell in enumerate(cells)
        if has_figure(cell) and not any(asserts_and_prints(other) for other in cells[i + 1 : i + 3])
    ]


def asserts_and_prints(cell):
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree(cell)))
    return asserts and any(out.get("name") == "stdout" for out in cell.outputs)


def code_is_announced(notebook):
    """Before each visible cell there is a sentence, also where folded cells stand in between. Solutions may differ."""
    complaints, said, solution = [], "", False
    for cell in notebook.cells:
        solution |= "{solution-start}" in cell.source
        if cell.cell_type == "markdown":
            said += re.sub(r"^(?:\([\w-]+\)=|#|:{3,}|:\w[\w-]*:).*$", "", cell.source, flags=re.MULTILINE)
        elif not HIDDEN & set(tags(cell)):
            if len(said.split()) < 4 and not solution:
                complaints.append(f"{label(cell)} is code without a sentence before it")
            said = ""
        solution &= "{solution-end}" not in cell.source
    return complaints


def proofs_do_not_fold(notebook):
    """A folded `prf:proof` has no title to click: the script that folds stops there, and no solution below it folds."""
    folded = re.compile(r"\{prf:proof\}[^\n]*\n(?::[^\n]*\n)*?:class:[^\n]*dropdown")
    return [f"{label(cell)} folds a proof; use an admonition" for cell in notebook.cells if folded.search(cell.source)]


GUARDS = [
    opens_with_a_title,
    was_run_in_order,
    is_normalised,
    has_no_errors,
    has_no_stderr,
    outputs_are_small,
    has_no_machine_paths,
    draws_from_its_own_generator,
    starts_with_bootstrap,
    installs_nothing_else,
    leaves_paths_alone,
    is_compared_by_nbval,
    cells_are_short,
    has_no_semicolons,
    figures_are_described,
    figures_fold_their_code,
    figures_stay_in_their_frame,
    figures_end_with_show,
    figures_are_checked,
    code_is_announced,
    proofs_do_not_fold,
]


# Across chapters


def repeated_definitions(notebooks):
    """Functions and classes whose body stands twice, in one chapter or in two: they belong into lib."""
    seen, complaints = {}, []
    for name, notebook in notebooks.items():
        for node in (node for cell in code_cells(notebook) for node in ast.walk(tree(cell))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                documented = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
                body = "\n".join(map(ast.unparse, node.body[documented:]))
                if body and body in seen:
                    complaints.append(f"{node.name} in {name} repeats {seen[body]}")
                seen.setdefault(body, f"{node.name} in {name}")
    return complaints


def unknown_citations(text, bibliography):
    """The keys that `text` cites and that the BibTeX source `bibliography` does not define."""
    known = set(re.findall(r"^@\w+\{\s*([^,\s]+)", bibliography, re.MULTILINE))
    cited = re.findall(r"\{cite[:\w]*\}`([^`]+)`", text)
    return sorted({key.strip() for keys in cited for key in keys.split(",")} - known)


def uneven_table_rows(text):
    """Rows of Markdown tables with more or fewer cells than their heading: the page drops or shifts what is in them."""
    complaints = []
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        rows = table.splitlines()
        columns = [len(re.findall(r"(?<!\\)\|", re.sub(r"\$[^$]*\$|`[^`]*`", "", row))) for row in rows]
        complaints += [row for row, count in zip(rows, columns, strict=True) if count != columns[0]]
    return complaints
