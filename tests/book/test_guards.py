"""No guard is vacuous: the chapter template passes all of them, and each refuses what it is there to refuse."""

import copy

import guards
import nbformat
import pytest
from check_site import empty_pages, toc_entries

TEMPLATE = guards.read(guards.TEMPLATE)
FIGURE = next(i for i, cell in enumerate(TEMPLATE.cells) if cell.cell_type == "code" and guards.has_figure(cell))
ROOTED = "/" + "tmp"  # a path of some machine, spelled so that this file holds none


def broken(change):
    """The template after `change(notebook, figure cell)`."""
    notebook = copy.deepcopy(TEMPLATE)
    change(notebook, notebook.cells[FIGURE])
    return notebook


def source(text):
    """Put `text` at the top of the figure cell."""
    return lambda notebook, cell: cell.update(source=text + "\n" + cell.source)


def append(text):
    return lambda notebook, cell: cell.update(source=cell.source + text)


def output(**fields):
    return lambda notebook, cell: cell.outputs.append(nbformat.v4.new_output(**fields))


def tag(name):
    return lambda notebook, cell: cell.metadata.update(tags=[name])


def described(part, **fields):
    return lambda notebook, cell: cell.metadata.mystnb[part].update(fields)


def without_check(notebook, cell):
    del notebook.cells[FIGURE + 2]


def check_out_of_reach(notebook, cell):
    for _ in range(2):
        notebook.cells.insert(FIGURE + 1, nbformat.v4.new_code_cell("k"))


def two_cells(*between):
    """Two visible cells at the end, with these texts between them."""
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    return lambda notebook, cell: notebook.cells.extend([code("k"), *map(text, between), code("n")])


BREAKS = {
    guards.opens_with_a_title: [lambda notebook, cell: notebook.cells.pop(0)],
    guards.was_run_in_order: [
        lambda notebook, cell: cell.update(execution_count=None),
        lambda notebook, cell: cell.update(execution_count=17),
        lambda notebook, cell: notebook.update(cells=notebook.cells[:1]),
    ],
    guards.is_normalised: [
        lambda notebook, cell: notebook.metadata.kernelspec.update(name="conda-env"),
        lambda notebook, cell: notebook.metadata.update(widgets={}),
        lambda notebook, cell: notebook.metadata.language_info.update(version="3.11.7"),
        lambda notebook, cell: cell.metadata.update(execution={}),
    ],
    guards.has_no_errors: [output(output_type="error", ename="ValueError", evalue="k < n", traceback=[])],
    guards.has_no_stderr: [output(output_type="stream", name="stderr", text="a warning")],
    guards.outputs_are_small: [output(output_type="stream", name="stdout", text="7" * 200_001)],
    guards.has_no_machine_paths: [
        source(f'np.load("{ROOTED}/x.npy")'),
        source('np.load("/home/ada/x.npy")'),
        source('np.load("C:\\\\Users\\\\ada\\\\x.npy")'),
        output(output_type="stream", name="stdout", text=f"written to {ROOTED}/x"),
        output(output_type="display_data", data={"text/plain": "Path('/Users/ada')"}),
        lambda notebook, cell: notebook.cells[0].update(source="# Look in " + str(guards.ROOT)),
    ],
    guards.draws_from_its_own_generator: [
        source("np.random.seed(0)"),
        source("np.random.randn(3)"),
        source("x = np.random.default_rng().normal()"),
        source("import random"),
        source("from random import gauss"),
        source("from numpy.random import rand"),
        source("x = scipy.stats.norm.rvs(3)"),
    ],
    guards.starts_with_bootstrap: [
        lambda notebook, cell: notebook.cells.pop(1),
        lambda notebook, cell: notebook.cells[1].update(source="import lib"),
        lambda notebook, cell: notebook.cells[1].metadata.update(tags=[]),
    ],
    guards.installs_nothing_else: [source("%pip install tqdm"), source("!pip install tqdm")],
    guards.leaves_paths_alone: [source("import sys\nsys.path.insert(0, '..')"), source("%cd ..")],
    guards.is_compared_by_nbval: [
        source("# NBVAL_IGNORE_OUTPUT"),
        source("# NBVAL_SKIP"),
        tag("nbval-ignore-output"),
        tag("nbval-skip"),
    ],
    guards.cells_are_short: [source("x = 1\n" * 26)],
    guards.has_no_semicolons: [append(";"), source("x = 1; y = 2"), source("fig.tight_layout();  # quiet")],
    guards.figures_are_described: [
        lambda notebook, cell: cell.metadata.pop("mystnb"),
        described("image", alt="A curve."),
        described("image", alt="4f2a0c9e8b7d6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e1d0c9b.png"),
        described("image", alt="The file norm_of_one_neuron.png shows a curve that falls"),
        described("figure", caption=""),
    ],
    guards.figures_fold_their_code: [tag("hide-output")],
    guards.figures_stay_in_their_frame: [
        output(output_type="display_data", data={"image/svg+xml": '<svg><path d="M 0 0 L 8.8e7 3"/></svg>'}),
    ],
    guards.figures_end_with_show: [append("\nax"), append("\nfig.show()")],
    guards.figures_are_checked: [
        without_check,
        check_out_of_reach,
        lambda notebook, cell: notebook.cells[FIGURE + 2].update(outputs=[]),
        lambda notebook, cell: notebook.cells[FIGURE + 2].update(source="print('all is well')"),
    ],
    guards.code_is_announced: [two_cells(), two_cells("## Three words only"), two_cells("(check-alone)=")],
    guards.proofs_do_not_fold: [
        lambda notebook, cell: notebook.cells[0].update(source="# A title\n\n:::{prf:proof}\n:class: dropdown\nx\n:::"),
    ],
}


@pytest.mark.parametrize("guard", guards.GUARDS, ids=lambda guard: guard.__name__)
def test_template_passes(guard):
    assert guard(TEMPLATE) == []


def test_every_guard_has_something_to_refuse():
    assert set(BREAKS) == set(guards.GUARDS)


@pytest.mark.parametrize(
    ("guard", "change"),
    [(guard, change) for guard, changes in BREAKS.items() for change in changes],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_guard_refuses(guard, change):
    assert guard(broken(change))


def test_guards_let_honest_text_through():
    honest = "The ratio $a/root$ and https://example.org/home/page are no paths; nor is $f:\\mathbb R^d\\to\\mathbb R$."
    notebook = broken(lambda notebook, cell: notebook.cells[0].update(source="# A title\n\n" + honest))
    assert guards.has_no_machine_paths(notebook) == []
    widget = broken(source("import ipywidgets as widgets"))
    widget.cells[FIGURE].metadata.tags = ["nbval-ignore-output", "remove-output"]
    assert guards.is_compared_by_nbval(widget) == []
    seeded = broken(source("rng = np.random.default_rng(7)\nx = scipy.stats.norm.rvs(3, random_state=rng)"))
    assert guards.draws_from_its_own_generator(seeded) == []


def test_repeated_definitions_are_found_under_another_name_and_docstring():
    once = broken(source("def square(x):\n    return x * x"))
    again = broken(source('def power(x):\n    """x to the second."""\n    return x * x'))
    assert guards.repeated_definitions({"one": once, "two": again}) == ["power in two repeats square in one"]
    assert guards.repeated_definitions({"one": once, "two": TEMPLATE}) == []


def test_unknown_citations_are_found():
    bibliography = "@article{saad1995,\n  title = {x}\n}\n@book{ cho2009 , title = {y}}"
    text = "See {cite}`saad1995,cho2009` and {cite:t}`williams1997`."
    assert guards.unknown_citations(text, bibliography) == ["williams1997"]


def test_uneven_tables_are_found():
    table = "| n | kind |\n| --- | --- |\n| $|w|$ | `a|b` |\n| 2 |\n\n| k |\n| - |\n| 3 | 4 |\n"
    assert guards.uneven_table_rows("Text with | alone.\n\n" + table) == ["| 2 |", "| 3 | 4 |"]


def test_empty_sites_are_found(tmp_path):
    toc = {"root": "book/intro", "parts": [{"chapters": [{"file": "book/a", "sections": [{"file": "book/b"}]}]}]}
    assert toc_entries(toc) == ["book/intro", "book/a", "book/b"]
    (tmp_path / "book").mkdir()
    (tmp_path / "book/intro.html").write_text("<article>" + "word " * 60 + "</article>")
    (tmp_path / "book/a.html").write_text("word " * 60 + "<article><p>nothing</p></article>")
    assert empty_pages(tmp_path, toc) == ["book/a", "book/b"]
