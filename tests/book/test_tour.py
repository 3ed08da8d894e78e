"""The first page: its numbers are those of lib and of the tables, and both answers are on its first screen."""

import csv
import json
import math
import re
from collections import Counter

import browser
import nbformat
import numpy as np
import pytest
from browser import complaints
from draw_overview import WIDTH, draw
from glossary import LINK
from guards import ROOT
from live_page import LIVE, Figure, as_number, page_with
from matplotlib.text import Text
from reading_time import minutes
from tabulate_flow_ends import ON_THE_MAP, TEACHERS

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_loss,
    copy_average_spectrum,
    figures,
    glorot,
    gradient_flow,
    identify,
    kernels,
    loss_lower_bound,
    perturbed_copies,
    perturbed_copies_spectrum,
    phase_boundaries,
)
from lib.students.perturbed import erf_perturbed_copies

TEXT, CLAIMS = (LINK.sub(r"\1", (ROOT / "book" / name).read_text("utf-8")) for name in ("intro.md", "claims.md"))
ENDS = json.loads(re.search(r"FLOW_ENDS = (\{.*?\});\n", (LIVE / "flow-ends.js").read_text("utf-8"))[1])
WIDTHS = [(int(k), n) for k, at in ENDS.items() for n in at["widths"]]


KINDS = ("copy-average", "perturbed-copies")


def said(chapter):
    cells = nbformat.read(ROOT / "book" / f"{chapter}.ipynb", 4).cells
    return LINK.sub(r"\1", "\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))


def states(sentence):
    assert sentence in TEXT, sentence


def in_chromium(test):
    for mark in browser.MARKS:
        test = mark(test)
    return test


def rows(k, activation="erf"):
    """(n, kind) of every flow of a table, read without lib."""
    lines = (ROOT / "book" / "data" / f"sweep_{activation}_k{k}.csv").read_text("utf-8").splitlines()
    return [(int(row["n"]), row["kind"]) for row in csv.DictReader(line for line in lines if not line.startswith("#"))]


# The numbers


def test_embedded_ends_are_those_of_the_tables():
    assert set(TEACHERS) < set(ON_THE_MAP) == {int(k) for k in ENDS}
    for k in ON_THE_MAP:
        at, counts = ENDS[str(k)], Counter(rows(k))
        assert at["widths"] == sorted({n for n, _ in counts if 2 <= n < k})
        for name, kind in [("average", "copy-average"), ("copies", "perturbed-copies")]:
            assert at[name] == [counts[n, kind] for n in at["widths"]]
        assert at["flows"] == [sum(counts[n, kind] for kind in {kind for _, kind in counts}) for n in at["widths"]]
        assert len(set(at["flows"])) == 1  # the page says how many for each n
        for name, value in phase_boundaries(k)._asdict().items():
            assert at[name] == pytest.approx(value, rel=1e-8)


def test_numbers_of_the_text():
    """Each is computed here, and the sentence that states it must be there."""
    kinds = Counter(rows(50))
    worse = range(22, 38)
    assert all(phase_boundaries(50).perturbed_stable < n < phase_boundaries(50).losses_equal for n in worse)
    lost, flows = (sum(kinds[n, kind] for n in worse for kind in names)
                   for names in (["perturbed-copies"], ["perturbed-copies", "copy-average"]))  # fmt: skip
    states("For all $n$ from 22 to 37 together, where both are minima and copy-average is the better one, "
           f"{lost} of {flows} flows ended at the worse of the two")  # fmt: skip
    states(f"observed: {lost} of {flows} flows at $k=50$, $22\\le n\\le37$, ended at the worse of the two")
    at_30 = kinds[30, "perturbed-copies"]
    states(f"$k=50$ and $n=30$. Copy-average has the lower loss, yet {at_30} of 20 flows")
    states("Below 22 there is no choice, and from 38 on they end at the better one")
    assert all(kinds[n, "copy-average"] == 20 for n in range(1, 22))
    assert all(kinds[n, "perturbed-copies"] == 20 for n in range(38, 50))
    average, copies = (sum(kinds[n, kind] for n in range(2, 50)) for kind in KINDS)
    states(f"of the {average + copies} flows with $k=50$ and $2\\le n<50$, "
           f"{average} ended at copy-average and {copies} at perturbed copies")  # fmt: skip
    assert average + copies == sum(1 for n, _ in rows(50) if 2 <= n < 50)
    states("a single flow, with $k=20$ and $n=19$, went to neither")
    assert [(k, n) for k in TEACHERS for n, kind in rows(k) if n < k and kind not in KINDS] == [(20, 19)]
    lines = (ROOT / "book" / "data" / "sweep_erf_k20.csv").read_text("utf-8").splitlines()
    (stray,) = [row for row in csv.DictReader(line for line in lines if not line.startswith("#"))
                if row["n"] == "19" and row["kind"] not in KINDS]  # fmt: skip
    losses = float(stray["loss"]), copy_average_loss([2]), erf_perturbed_copies(20, 19).loss
    assert stray["kind"] == "channel" and losses[0] > losses[1] > losses[2]
    states("with the loss {:.4f}, above those of both students ({:.4f} and {:.4f})".format(*losses))
    states(f"{1 / 3 - 1 / math.pi:.3f} for each")


def test_eight_teacher_neurons():
    """The claim on k = 8, which has a table so that the tour can use the running example of the book."""
    found = {n: {kind for width, kind in rows(8) if width == n} for n in range(2, 8)}
    assert found == {n: {"copy-average"} for n in range(2, 6)} | {6: set(KINDS), 7: {"perturbed-copies"}}


def test_boundaries_of_the_text():
    states("Up to 4 only copy-average is a minimum of the loss, at 5 and 6 both are, and at 7 only perturbed")
    eight = phase_boundaries(8)
    assert 4 < eight.perturbed_stable < 5 and 6 < eight.losses_equal < eight.copy_average_unstable < 7
    limit = phase_boundaries(1e12).losses_equal / 1e12
    states("If $n$ is below about three quarters of $k$, the first has the lower loss, above it the second")
    states(f"$n/k$ tends to {limit:.4f}; it is {phase_boundaries(50).losses_equal / 50:.2f} at $k=50$")
    assert all(0.745 < phase_boundaries(k).losses_equal / k < 0.775 for k in (8, 10, 20, 50, 100, 1000))
    for k in (3, 4, 5):  # the text: for smaller k than 6 copy-average is always better
        assert all(erf_perturbed_copies(k, n).loss > copy_average_loss([k - n + 1]) for n in range(2, k))


def test_the_price_of_a_missing_neuron():
    states("between 0.015 and 0.024 for each missing neuron")
    for k, n in WIDTHS:
        lower = min(copy_average_loss([k - n + 1]), erf_perturbed_copies(k, n).loss)
        assert 0.015 < lower / (k - n) < 0.024, (k, n)


def test_the_price_of_the_worse_student():
    """At every n where both are minima, which the chapter on the map computes at both ends for most k."""

    def dearest(k, ends_only=False):
        stable, _, unstable = phase_boundaries(k)
        first, last = math.ceil(stable), math.floor(unstable)
        pairs = [(copy_average_loss([k - n + 1]), erf_perturbed_copies(k, n).loss)
                 for n in ((first, last) if ends_only else range(first, last + 1))]  # fmt: skip
        return 100 * (max(max(pair) / min(pair) for pair in pairs) - 1)

    price = {k: dearest(k) for k in range(7, 101)} | {k: dearest(k, ends_only=True) for k in (1000, 10**5)}
    assert max(price.values()) < 10
    up = {k: f"{price[k]:.2f}" for k in (20, 50, 100, 1000, 10**5)}
    assert (f"up to {up[20]} percent at $k=20$, {up[50]} at $k=50$, {up[100]} at $k=100$, less than 10 for all "
            f"$7\\le k\\le100$; {up[1000]} at $k=1000$ and {up[10**5]} at $k=10^5$") in CLAIMS  # fmt: skip
    chapter = said("phase_diagram")
    assert f"up to {up[20]} percent more at $k=20$, {up[50]} at $k=50$ and {up[100]} at $k=100$" in chapter
    states(f"at $k=50$, where both are minima, it is up to {up[50]} percent")


def test_numbers_of_claims_and_chapters():
    """What they say of the tables of flows."""
    kinds = Counter(rows(50))
    both = [n for n in range(2, 50) if all(kinds[n, kind] for kind in KINDS)]
    assert both == [24, 25, 26, 29, 30, 31, 32]
    assert "at 24, 25, 26 and from 29 to 32 both occur; at 27, 28 and from 33 to 49" in CLAIMS
    copies = sum(kinds[n, "perturbed-copies"] for n in (30, 40))
    assert f"{copies} of 40 random initialisations led to perturbed copies" in said("empirical_flow")
    wrong = {k: sum(kind == "wrong-sign" for _, kind in rows(k, "relu")) for k in (8, 12, 20)}
    sentence = f"{wrong[8]} of 800 for $k=8$, {wrong[12]} of 1200 for $k=12$ and {wrong[20]} of 400 for $k=20$"
    assert sentence in said("relu")


def test_which_of_the_two_is_a_minimum():
    """By the smallest eigenvalue of the Hessian, which the boundaries of the map do not enter."""
    for k, n in WIDTHS:
        at = ENDS[str(k)]
        for spectrum, minimum in [
            (copy_average_spectrum(k, n), n < at["copy_average_unstable"]),
            (perturbed_copies_spectrum(k, n), n > at["perturbed_stable"]),
        ]:
            assert (min(np.min(block.eigenvalues) for block in spectrum) > 0) == minimum, (k, n)


@in_chromium
def test_losses_and_students_on_the_page_are_those_of_lib(look):
    page = look(page_with("two-answers"))
    state = """([k, n]) => {
      const T = customElements.get('two-answers');
      const students = [Glyph.copyAverage(k, n), Glyph.perturbedCopies(k, n)].map(theta => [...theta]);
      return { ...T.state(k, n), average_theta: students[0], copies_theta: students[1] };
    }"""
    larger = [(20, 11), (20, 19), (50, 2), (50, 25), (50, 38), (50, 49), (100, 2), (100, 50), (100, 98)]
    for k, n in [(8, n) for n in range(2, 8)] + larger:
        found = page.evaluate(state, [k, n])
        average, copies = copy_average([1] * (n - 1) + [k - n + 1]), perturbed_copies(kernels.erf, k, n)
        L = PopulationLoss(Network.orthonormal(k), kernels.erf)
        for name, student in [("average", average), ("copies", copies)]:
            assert found[name]["loss"] == pytest.approx(L(student), rel=1e-9), (k, n)
            wanted = student.ravel()
            assert found[f"{name}_theta"] == pytest.approx(wanted.tolist(), rel=1e-9, abs=1e-9 * np.abs(wanted).max())
        assert found["bound"] == pytest.approx(loss_lower_bound(L, n), rel=1e-7)
        assert found["bound"] == pytest.approx((k - n) * (1 / 3 - 1 / math.pi), rel=1e-9)
        assert min(found["average"]["loss"], found["copies"]["loss"]) > found["bound"]


@in_chromium
def test_glyph_on_the_page_is_the_one_of_lib(look):
    page, rng = look(page_with("two-answers")), np.random.default_rng(11)
    glyph = """([theta, n, k]) => {
      const w = Glyph.pathWeights(theta, n, k, k), r = Glyph.radii(theta, n, k);
      return [w, r, Glyph.roles(w), Glyph.places(w, r)];
    }"""
    students = [glorot(rng, n, k) for k, n in [(8, 2), (8, 7), (20, 13)]]
    students += [copy_average([1, 1, 5]), perturbed_copies(kernels.erf, 50, 30), Network(np.zeros((2, 3)), [0.0, 1.0])]
    for student in students:
        weights, radii, roles, places = page.evaluate(glyph, [student.ravel().tolist(), student.n, student.d])
        wanted = figures.path_weights(student, student.d)
        assert np.array(weights) == pytest.approx(wanted, rel=1e-9)
        assert radii == pytest.approx((0.3 * np.sqrt(np.abs(student.a))).tolist(), rel=1e-9)
        assert places == pytest.approx(figures.places(wanted, radii).tolist(), rel=1e-9, abs=1e-9)
        assert roles == figures.roles(wanted)


# What a reader does


@pytest.fixture
def tour(look):
    """tour(**options of look): the figure of the first page, from disk; at the end no script has complained."""
    pages = []

    def open_tour(**options):
        pages.append(look(page_with("two-answers"), **options))
        return Figure(pages[-1], "two-answers")

    yield open_tour
    for page in pages:
        assert complaints(page) == []


def assert_answers_are_right(figure):
    k, n = figure.state("[figure.k, figure.n]")
    assert n == int(figure.slider("n").input_value())
    assert str(k) == figure.element.locator("input[type=radio]:checked").input_value()
    said = figure.said()
    average, copies, at = copy_average_loss([k - n + 1]), erf_perturbed_copies(k, n).loss, phase_boundaries(k)
    assert as_number(said["copy-average"]) == pytest.approx(average, rel=1e-3)
    assert as_number(said["perturbed copies"]) == pytest.approx(copies, rel=1e-3)
    assert as_number(said["bound"]) == pytest.approx((k - n) * (1 / 3 - 1 / math.pi), rel=1e-3)
    minima = n < at.copy_average_unstable, n > at.perturbed_stable
    kinds = [said[f"{name}: kind"] for name in ("copy-average", "perturbed copies")]
    assert kinds == ["a minimum" if minimum else "a saddle" for minimum in minima]
    lower = "average" if average < copies else "copy"
    assert figure.element.locator(f".live-answer-{lower} [data-quantity=lower]").count() == 1
    counts = Counter(rows(k))
    assert int(said["ended at copy-average"]) == counts[n, "copy-average"]
    assert int(said["ended at perturbed copies"]) == counts[n, "perturbed-copies"]
    assert int(said["flows"]) == sum(count for (width, _), count in counts.items() if width == n)
    verdict = said["verdict"]
    name = {"average": "copy-average has", "copy": "perturbed copies have"}[lower]
    if all(minima):
        assert verdict == f"Both are minima, and {name} the lower loss."
    else:
        assert verdict.startswith("Only copy-average is" if minima[0] else "Only perturbed copies are")
    return k, n


@in_chromium
def test_a_reader_sees_all_of_it_by_mouse_and_keyboard(tour):
    figure = tour()
    assert assert_answers_are_right(figure) == (8, 6)
    figure.press("n", "ArrowRight")
    assert assert_answers_are_right(figure) == (8, 7)
    figure.drag("n", 0.2)
    assert_answers_are_right(figure)
    figure.element.locator("input[type=radio]:checked").press("ArrowRight")
    assert assert_answers_are_right(figure)[0] == 20
    for key in ("End", "Home"):
        figure.press("n", key)
        assert_answers_are_right(figure)
    for k, fractions in [(50, (0.1, 0.6, 0.8, 0.95)), (100, (0.5, 0.77))]:
        figure.element.get_by_label(str(k), exact=True).check()
        for fraction in fractions:
            figure.drag("n", fraction)
            assert assert_answers_are_right(figure)[0] == k
    assert figure.state("figure.player.hidden")  # too large for a page, which says so
    assert "choose k = 8" in figure.element.locator(".live-answer-training svg").text_content()


@in_chromium
def test_a_finger_chooses_n_on_the_map(tour):
    figure = tour(width=375, has_touch=True)
    box = figure.element.locator(".live-stage > svg").bounding_box()
    figure.page.touchscreen.tap(box["x"] + 60, box["y"] + 60)
    assert assert_answers_are_right(figure) == (8, 2)
    figure.page.touchscreen.tap(box["x"] + box["width"] - 20, box["y"] + 60)
    assert assert_answers_are_right(figure) == (8, 7)


@in_chromium
def test_watch_one_flow(tour):
    """Its end is the one that lib's flow finds from the same start, and both kinds are seen within four starts."""
    figure = tour()
    L, seen = PopulationLoss(Network.orthonormal(8), kernels.erf), set()
    button = figure.element.get_by_role("button")
    for _ in range(4):
        button.press("Enter")
        figure.wait("figure.end")
        start, end = figure.state("[[...figure.start], [...figure.flow.theta]]")
        student = gradient_flow(L, Network.unravel(start, 6, 8)).student
        kind = identify(L, student).kind
        assert figure.text("end") == kind.replace("perturbed-copies", "perturbed copies")
        assert L(Network.unravel(end, 6, 8)) == pytest.approx(L(student), rel=1e-9)
        assert figure.number("loss") == pytest.approx(L(student), rel=1e-3)
        assert figure.element.locator("[data-found] strong").inner_text().lower() == figure.text("end")
        circles = figure.element.locator(".live-answer-training circle")
        circles = Counter(circles.evaluate_all("all => all.map(circle => circle.getAttribute('class'))"))
        averages = 1 if kind == "copy-average" else 0
        assert circles == Counter({"live-copy-neuron": 6 - averages, "live-average-neuron": averages})
        seen.add(kind)
    assert seen == {"copy-average", "perturbed-copies"}
    figure.press("n", "ArrowLeft")
    assert figure.state("figure.flow") is None and button.inner_text() == "Watch one flow"


@in_chromium
def test_a_flow_pauses(tour):
    figure = tour()
    button = figure.element.get_by_role("button")
    button.click()
    figure.wait("figure.flow && figure.flow.steps > 3")
    button.click()
    paused = figure.state("figure.flow.steps")
    figure.page.wait_for_timeout(100)
    assert figure.state("figure.flow.steps") == paused and button.inner_text() == "Go on"
    button.click()
    figure.wait(f"figure.flow.steps > {paused}")


# Seen by everyone


@in_chromium
@pytest.mark.parametrize("width, height, screens", [(1280, 800, 1), (375, 667, 2)], ids=["desk", "phone"])
def test_question_answers_and_figure_are_on_the_first_screens(look, width, height, screens):
    page = look(page_with("two-answers"), width=width)
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("document.querySelector('two-answers .live-sentence').textContent.length > 20")
    figure = page.locator("two-answers")
    for k in TEACHERS:
        figure.get_by_label(str(k), exact=True).check()
        bottoms = page.locator("article h1, article section > p, two-answers .live-panel").evaluate_all(
            "all => all.map(e => [e.textContent.slice(0, 30), e.getBoundingClientRect().bottom + scrollY])"
        )[:4]
        assert bottoms[0][0].startswith("Copy or average?") and bottoms[3][0].startswith("teacher neurons")
        assert max(bottom for _, bottom in bottoms) <= screens * height, (k, bottoms)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@in_chromium
@pytest.mark.parametrize("k", TEACHERS)
def test_text_of_the_figure_is_legible_on_a_phone(tour, k):
    figure = tour(width=375)
    figure.element.get_by_label(str(k), exact=True).check()
    texts = figure.element.locator("svg text, p, label, button")
    sizes = texts.evaluate_all("all => all.map(text => parseFloat(getComputedStyle(text).fontSize))")
    assert len(sizes) > 20 and min(sizes) >= 11
    box = figure.element.bounding_box()
    for text in figure.element.locator(".live-stage > svg text").all():
        at = text.bounding_box()
        assert box["x"] <= at["x"] and at["x"] + at["width"] <= box["x"] + box["width"], text.text_content()


@in_chromium
def test_the_way_back_to_the_top_does_not_lie_on_the_text_of_a_phone(look):
    page = look(page_with("two-answers"), width=375)
    for far in (3000, 2500):  # the theme shows it on the way up
        page.evaluate("far => scrollTo({ top: far, behavior: 'instant' })", far)
        page.wait_for_timeout(300)
    assert not page.locator("#pst-back-to-top").is_visible()


def test_text_of_the_picture_is_legible_on_a_phone():
    picture = draw()
    picture.draw_without_rendering()  # only now are there labels of ticks
    texts = [text for text in picture.findobj(Text) if text.get_text().strip()]
    assert len(texts) > 12
    assert min(text.get_fontsize() for text in texts) / 72 * 343 / WIDTH >= 11


def test_picture_states_what_the_tables_say():
    counts = Counter(rows(50))
    alt = re.search(r':alt: "(.*)"', TEXT)[1]
    for loss in (copy_average_loss([3]), erf_perturbed_copies(8, 6).loss):
        assert f"{loss:.4f}" in alt
        assert any(f"{loss:.4f}" in text.get_text() for text in draw().findobj(Text))
    first = min(n for n, kind in counts if kind == "perturbed-copies")
    better = math.ceil(phase_boundaries(50).losses_equal)
    assert f"up to {first - 1}, mostly at perturbed copies from {first} on" in alt and f"from {better} on" in alt
    assert all(counts[n, "perturbed-copies"] > counts[n, "copy-average"] for n in range(first, 50))


@in_chromium
def test_figure_and_picture_have_each_its_caption(look):
    page = look(page_with("two-answers"))
    picture, live, still = (
        page.locator(f"two-answers {part}") for part in ("img", ".live-caption", ".caption-text .live-still")
    )
    assert live.is_visible() and not picture.is_visible() and not still.is_visible()
    words = live.inner_text()
    assert all(part in words for part in ("Curves:", "bound", "Bands:", "Bottom row:", "shaded column"))
    page.emulate_media(media="print")
    assert picture.is_visible() and still.is_visible() and not live.is_visible()
    page = look(page_with("two-answers"), java_script_enabled=False)
    assert page.locator("two-answers img").is_visible() and page.locator("two-answers figcaption").is_visible()


# Reading times


def test_reading_time_counts_what_is_not_folded(tmp_path):
    def notebook(*cells):
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), tmp_path / "x.ipynb")
        return minutes(tmp_path / "x.ipynb")

    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    words = "word " * 440
    assert notebook(text(words)) == 2
    assert notebook(text(words), code("x\n" * 999)) == 2
    assert notebook(text(f"{words}\n:::{{admonition}} Proof\n{words}\n:::\n")) == 2
    start, end = text(":::{solution-start} x\n:::"), text(":::{solution-end}\n:::")
    assert notebook(text(words), start, text(words), end, text(words)) == 4
    assert notebook(text("$" + words + "$")) == 1


def test_reading_times_are_on_the_page():
    page = page_with("two-answers").read_text("utf-8")
    for chapter in re.findall(r"\{reading-time\}`(.*?)`", TEXT):
        link = f'href="{chapter.replace("ipynb", "html")}"'
        (row,) = [row for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if link in row]
        assert f"<p>{minutes(ROOT / 'book' / chapter)}</p>" in row, chapter
