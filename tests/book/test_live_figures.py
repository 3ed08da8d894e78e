"""The live figures: their formulas are those of lib, and a reader can work them by mouse, keyboard and touch."""

import functools
import json
import math
import re
import shutil
import subprocess
from collections import Counter

import browser
import built_book
import guards
import numpy as np
import pytest
from browser import complaints, in_colours
from guards import ROOT
from live_figures import NEEDS, scripts
from live_page import AS_NEW, LIVE, Figure, as_number, page_with
from scipy.stats import beta
from tabulate_flow_ends import ON_THE_MAP
from tabulate_training_fates import SIZES, WAYS, source
from write_live_golden import TARGET, golden

from lib import (
    Network,
    PopulationLoss,
    copy_average_loss,
    gradient_flow,
    identify,
    kernels,
    load_sweep,
    one_neuron,
    partitions,
    phase_boundaries,
)
from lib.students.perturbed import erf_perturbed_copies
from lib.training import load_training

GOLDEN = json.loads(TARGET.read_text("utf-8"))
CHECK = ROOT / "tests" / "book" / "live_golden.js"
CONTRAST = (ROOT / "tests" / "book" / "contrast.js").read_text("utf-8")
NODE = shutil.which("node")


def in_chromium(test):
    for mark in browser.MARKS:
        test = mark(test)
    return test


needs_node = pytest.mark.skipif(NODE is None, reason="no node on PATH; the same check runs in Chromium")


# The formulas


def assert_same(found, wanted):
    """Equal, numbers to 1e-11: another machine rounds in other places."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-11, abs=1e-13)
    else:
        assert found == wanted


def test_golden_table_is_what_lib_says():
    assert_same(golden(), GOLDEN)


def assert_all_small(errors):
    assert errors.keys() == GOLDEN.keys()
    assert all(float(error) < 1e-9 for error in errors.values()), errors


@needs_node
def test_formulas_in_node():
    result = subprocess.run([NODE, CHECK, LIVE / "networks.js", TARGET], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert_all_small(json.loads(result.stdout))


@in_chromium
def test_formulas_on_a_page(figure):
    check = CHECK.read_text("utf-8")
    page = figure("copy-or-average").page
    assert_all_small(page.evaluate(f"golden => {{ {check}; return goldenErrors(Networks, golden); }}", GOLDEN))


@needs_node
def test_table_of_boundaries_is_what_lib_says():
    script = f"console.log(JSON.stringify(require({json.dumps(str(LIVE / 'phase-boundaries.js'))})))"
    table = json.loads(subprocess.run([NODE, "-e", script], capture_output=True, text=True, check=True).stdout)
    names = phase_boundaries(7)._fields
    assert set(table) == {"from", "to", *names}
    rows = np.geomspace(table["from"], table["to"], len(table[names[0]]))
    for i in range(0, len(rows), 16):
        found = [table[name][i] for name in names]
        assert found == pytest.approx(phase_boundaries(float(rows[i])), rel=1e-8)


# Pages


def figures():
    """(file, element name, markdown) of every live figure of the first page and the chapters."""
    texts = [(path.stem, cell.source) for path in guards.NOTEBOOKS for cell in guards.read(path).cells]
    for page, text in [("intro", (ROOT / "book" / "intro.md").read_text("utf-8")), *texts]:
        for name in re.findall(r"^<([a-z]+-[a-z-]+)>$", text, re.MULTILINE):
            yield page, name, text


def test_every_live_figure_has_a_script_and_a_picture():
    found = list(figures())
    assert {"one-neuron", "copy-or-average", "watch-the-flow"} <= {name for _, name, _ in found} <= set(NEEDS)
    for chapter, name, text in found:
        inside = re.search(rf"<{name}>\n\n:::\{{figure\}} (\S+)\n.*?:alt: (.*?)\n.*?:::\n\n</{name}>", text, re.DOTALL)
        assert inside, (chapter, name)
        assert (ROOT / "book" / inside[1]).is_file() and guards.is_description(inside[2])


def test_only_pages_with_a_live_figure_load_scripts():
    shown = {}
    for chapter, name, _ in figures():
        shown[chapter] = shown.get(chapter, "") + f"<{name}>"
    for page in built_book.pages():
        text = page.read_text("utf-8")
        loaded = re.findall(r'src="../_static/live/([\w-]+)\.js', text)
        assert loaded == scripts(shown.get(page.stem, "")), page.name


def test_scripts_are_small():
    assert all(path.stat().st_size < 16_000 for path in LIVE.iterdir())


# What a reader does


@pytest.fixture(scope="module")
def page_of(chromium):
    """page_of(figure's name): its page, opened from disk once for all tests, with a mouse and for fingers.

    Its formulas, thousands of elements to lay out again at each step, become words: test_browser.py looks at them.
    """
    context = chromium.new_context(color_scheme="light", has_touch=True)

    @functools.cache
    def open_page(name):
        page = browser.opened(context, page_with(name).as_uri())
        page.locator("mjx-container").evaluate_all("formulas => formulas.forEach(f => f.replaceChildren('formula'))")
        return page

    yield open_page
    context.close()


@pytest.fixture
def figure(page_of):
    """figure(name, ...): the figure on its page, as when it is opened; at the end no script has complained."""
    pages = []

    def open_figure(name, width=1200, colours="light", motion="no-preference"):
        pages.append(page_of(name))
        pages[-1].set_viewport_size({"width": width, "height": 800})
        pages[-1].emulate_media(media="screen", reduced_motion=motion)
        in_colours(pages[-1], colours).locator(name).evaluate(AS_NEW)
        return Figure(pages[-1], name)

    yield open_figure
    for page in pages:
        assert complaints(page) == []


def assert_one_neuron_is_right(figure):
    k, a, r, activation = figure.state("[figure.k, figure.a, figure.r, figure.activation]")
    kernel = getattr(kernels, activation)
    loss = PopulationLoss(Network.orthonormal(k), kernel)(Network(np.full((1, k), r / np.sqrt(k)), [a]))
    said = {name: as_number(text) for name, text in figure.said().items()}
    assert said["loss"] == pytest.approx(loss, rel=1e-5)
    assert [said["a"], said["r"]] == pytest.approx([a, r], rel=1e-3)
    assert said["lowest"] == pytest.approx(one_neuron(kernel, k).loss, rel=1e-5)
    return said["loss"]


@in_chromium
def test_one_neuron(figure):
    figure = figure("one-neuron")
    seen = [assert_one_neuron_is_right(figure)]
    for name, fraction in [("k", 0.4), ("a", 0.3), ("r", 0.6)]:
        value = figure.drag(name, fraction)
        assert figure.state(f"figure.{name}") == pytest.approx(value)
        seen.append(assert_one_neuron_is_right(figure))
        before, after = figure.press(name, "ArrowLeft")
        assert before - after == pytest.approx(float(figure.slider(name).get_attribute("step")))
        seen.append(assert_one_neuron_is_right(figure))
    figure.element.get_by_role("button", name="best point").press("Enter")
    assert assert_one_neuron_is_right(figure) == figure.number("lowest")
    figure.element.get_by_label("ReLU").press("Space")
    seen.append(assert_one_neuron_is_right(figure))
    figure.element.get_by_role("button", name="best point").click()
    assert assert_one_neuron_is_right(figure) == figure.number("lowest")

    x, y = figure.center(".live-handle")
    figure.page.mouse.move(x, y)
    figure.page.mouse.down()
    figure.page.mouse.move(x + 60, y - 40, steps=4)
    figure.page.mouse.up()
    assert np.subtract(figure.center(".live-handle"), (x + 60, y - 40)) == pytest.approx([0, 0], abs=2)
    seen.append(assert_one_neuron_is_right(figure))
    assert len(set(seen)) == len(seen)


@in_chromium
@pytest.mark.parametrize("name", ["one-neuron", "phase-diagram"])
def test_point_follows_a_finger(figure, name):
    figure = figure(name, width=375)
    x, y = figure.center(".live-handle")
    figure.swipe((x, y), (x + 40, y + 30))
    assert np.subtract(figure.center(".live-handle"), (x + 40, y + 30)) == pytest.approx([0, 0], abs=4)
    figure.page.touchscreen.tap(x, y)
    assert np.subtract(figure.center(".live-handle"), (x, y)) == pytest.approx([0, 0], abs=4)
    assert_one_neuron_is_right(figure) if name == "one-neuron" else assert_phase_is_right(figure)


def assert_partition_is_right(figure):
    k, n, theta = figure.state("[figure.owners.length, figure.groups.length, [...figure.theta]]")
    student, L = Network.unravel(theta, n, k), PopulationLoss(Network.orthonormal(k), kernels.erf)
    said, gradient = figure.said(), np.linalg.norm(L.gradient(student).ravel())
    assert as_number(said["loss"]) == pytest.approx(L(student), rel=1e-5, abs=1e-13)
    assert as_number(said["gradient"]) == pytest.approx(gradient, rel=0.06, abs=1e-13)
    sizes = tuple(sorted(figure.state("figure.groups.map(group => group.length)")))
    if 0 in sizes:
        return sizes
    if float(figure.slider("factor").input_value()) == 1:
        assert as_number(said["loss"]) == pytest.approx(copy_average_loss(sizes), rel=1e-5, abs=1e-13)
    assert said["sizes"] == " + ".join(map(str, sizes))
    assert as_number(said["rank"]) == 1 + sorted(partitions(k, n), key=copy_average_loss).index(sizes)
    return sizes


@in_chromium
def test_copy_or_average(figure):
    figure = figure("copy-or-average")
    assert assert_partition_is_right(figure) == (2, 3, 3)
    figure.drag("factor", 0.1)
    assert_partition_is_right(figure)
    assert figure.number("gradient") > 0.1
    figure.press("factor", "ArrowRight")
    assert_partition_is_right(figure)
    figure.slider("factor").press("End")
    figure.drag("k", 0.9)
    figure.press("k", "ArrowLeft")
    k = int(figure.slider("k").input_value())
    figure.drag("n", 0.5)
    figure.press("n", "ArrowRight")
    n = int(figure.slider("n").input_value())
    assert assert_partition_is_right(figure) == tuple(sorted((k + i) // n for i in range(n)))
    assert figure.number("gradient") < 1e-12


@in_chromium
def test_teacher_neurons_move_between_groups(figure):
    figure = figure("copy-or-average")
    figure.element.get_by_role("button", name="teacher neuron 1,").press("ArrowRight")
    assert figure.page.evaluate("document.activeElement.textContent") == "1"
    assert assert_partition_is_right(figure) == (2, 2, 4)
    figure.page.keyboard.press("ArrowLeft")
    figure.page.keyboard.press("ArrowLeft")
    assert assert_partition_is_right(figure) == (2, 3, 3) and figure.state("figure.owners[0]") == 2
    figure.page.keyboard.press("Enter")
    assert figure.state("figure.owners[0]") == 0

    for teacher in (1, 2, 4):  # teacher neurons 2, 3 and 5, one after the other, to the last group
        start, end = figure.center(f".live-chip >> text=/^{teacher + 1}$/"), figure.center(".live-box:last-child")
        figure.page.mouse.move(*start)
        figure.page.mouse.down()
        figure.page.mouse.move(*end, steps=4)
        figure.page.mouse.up()
        assert figure.state(f"figure.owners[{teacher}]") == 2
        assert_partition_is_right(figure)
    figure.element.get_by_role("button", name="teacher neuron 4,").press("ArrowRight")
    assert assert_partition_is_right(figure) == (1, 1, 6) and figure.number("rank") == 1
    figure.element.get_by_role("button", name="teacher neuron 1,").press("ArrowRight")
    assert assert_partition_is_right(figure) == (0, 2, 6)
    assert figure.number("gradient") < 1e-12


@in_chromium
def test_teacher_neurons_move_by_finger(figure):
    figure = figure("copy-or-average", width=375)
    figure.page.touchscreen.tap(*figure.center(".live-chip >> text=/^1$/"))
    assert figure.state("figure.owners[0]") == 1
    figure.swipe(figure.center(".live-chip >> text=/^2$/"), figure.center(".live-box:last-child"))
    assert figure.state("figure.owners[1]") == 2
    assert assert_partition_is_right(figure) == (1, 3, 4)


KINDS = {"copy-average": "copy-average", "perturbed-copies": "perturbed copies"}


def assert_end_is_right(figure):
    """The end that the page found is the one that lib's flow finds from the same start; its kind."""
    n, k, start, end = figure.state("[figure.n, figure.k, [...figure.start], [...figure.flow.theta]]")
    L, start = PopulationLoss(Network.orthonormal(k), kernels.erf), Network.unravel(start, n, k)
    flow = gradient_flow(L, start)
    kind = identify(L, flow.student).kind
    assert figure.text("end") == KINDS[kind]
    closed = {"copy-average": copy_average_loss([1] * (n - 1) + [k - n + 1])}
    closed["perturbed-copies"] = erf_perturbed_copies(k, n).loss if 2 <= n < k else math.nan
    for loss in (flow.losses[-1], L(Network.unravel(end, n, k)), figure.state("figure.flow.loss")):
        assert loss == pytest.approx(closed[kind], rel=1e-9)
    assert figure.number("loss") == pytest.approx(closed[kind], rel=1e-5)
    return kind


def assert_path_is_right(figure):
    """The loss on the way, at the time that the page states."""
    n, k, start, path = figure.state("[figure.n, figure.k, [...figure.start], figure.path]")
    L, start = PopulationLoss(Network.orthonormal(k), kernels.erf), Network.unravel(start, n, k)
    for time, loss in path[len(path) // 4 :: len(path) // 4]:
        assert loss == pytest.approx(gradient_flow(L, start, rtol=1e-7, end_time=time).losses[-1], rel=1e-2), time


@in_chromium
def test_watch_the_flow(figure):
    figure = figure("watch-the-flow")
    assert figure.number("copy-average") == pytest.approx(copy_average_loss([1] * 5 + [3]), rel=1e-5)
    assert figure.number("perturbed copies") == pytest.approx(erf_perturbed_copies(8, 6).loss, rel=1e-5)
    play = figure.element.locator("button").first
    play.press("Space")
    assert play.inner_text() == "Pause"
    figure.wait("figure.flow.steps > 5")
    play.press("Enter")
    assert play.inner_text() == "Play"
    paused = figure.number("time")
    figure.page.wait_for_timeout(100)
    assert figure.number("time") == paused == pytest.approx(figure.state("figure.flow.time"), rel=1e-2)
    figure.page.emulate_media(reduced_motion="reduce")  # more steps from picture to picture
    play.click()
    figure.wait("figure.end")
    kinds = {assert_end_is_right(figure)}
    assert_path_is_right(figure)
    for _ in range(4):
        figure.element.get_by_role("button", name="New seed").click()
        figure.element.get_by_role("button", name="To the end").click()
        figure.wait("figure.end")
        kinds.add(assert_end_is_right(figure))
    assert kinds == set(KINDS)


@in_chromium
def test_two_for_three(figure):
    """Figure 1 of the paper: whatever the seed, two student neurons end at the best copy-average of three."""
    figure = figure("two-for-three")
    assert figure.state("[figure.k, figure.n]") == [3, 2]
    assert figure.number("copy-average") == pytest.approx(copy_average_loss([1, 2]), rel=1e-5)
    for _ in range(3):
        figure.element.get_by_role("button", name="To the end").click()
        figure.wait("figure.end")
        assert assert_end_is_right(figure) == "copy-average"
        assert figure.number("loss") == pytest.approx(0.0232216806, rel=1e-5)
        figure.element.get_by_role("button", name="New seed").click()


@in_chromium
def test_a_flow_with_one_neuron_held_back(figure):
    """The first seed leads to perturbed copies, and to copy-average when its first student neuron is held back."""
    figure, kinds = figure("watch-the-flow"), []
    for pressed in ("false", "true"):
        if pressed == "true":
            figure.element.get_by_role("button", name="Hold one back").click()
        assert figure.state("figure.late.getAttribute('aria-pressed')") == pressed
        first = figure.state("figure.start[0] / GradientFlow.glorot(figure.seed, figure.n, figure.k)[0]")
        assert first == pytest.approx({"false": 1, "true": 1e-4}[pressed])
        figure.element.get_by_role("button", name="To the end").click()
        figure.wait("figure.end")
        kinds.append(assert_end_is_right(figure))
    assert kinds == ["perturbed-copies", "copy-average"]


@in_chromium
def test_the_caption_is_that_of_what_is_shown(figure):
    page = figure("watch-the-flow").page
    live, still = (page.locator(f"watch-the-flow figcaption .live-{which}") for which in ("caption", "still"))
    assert "while it is computed" in live.inner_text() and "two random" in still.text_content()
    assert live.is_visible() and not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible() and not live.is_visible()


@in_chromium
def test_another_flow(figure):
    figure = figure("watch-the-flow", motion="reduce")
    figure.drag("k", 0.5)
    figure.press("k", "ArrowRight")
    figure.drag("n", 0.2)
    figure.press("n", "ArrowRight")
    k, n = figure.state("[figure.k, figure.n]")
    assert [k, n] == [int(figure.slider("k").input_value()), int(figure.slider("n").input_value())] and n < k
    assert figure.number("copy-average") == pytest.approx(copy_average_loss([1] * (n - 1) + [k - n + 1]), rel=1e-5)
    figure.element.get_by_role("button", name="Play").click()
    figure.wait("figure.end")
    assert assert_end_is_right(figure) == "copy-average"
    curve, enlarge = figure.element.locator("svg").last, figure.element.get_by_role("button", name="Enlarge")
    before = curve.inner_html()
    enlarge.press("Enter")
    assert enlarge.get_attribute("aria-pressed") == "true" and curve.inner_html() != before
    figure.slider("n").press("End")
    figure.element.get_by_role("button", name="To the end").click()
    figure.wait("figure.end")
    assert figure.text("end") == "the teacher itself" and figure.number("loss") < 1e-12


def region(k, n):
    """What the sentence of the phase diagram must say, by lib."""
    at = phase_boundaries(k)
    if n < at.perturbed_stable:
        return "Only copy-average is a minimum"
    if n > at.copy_average_unstable:
        return "Only perturbed copies are a minimum"
    return "Both are minima, and " + ("copy-average is" if n < at.losses_equal else "perturbed copies are") + " lower"


def assert_phase_is_right(figure):
    k, n = figure.state("[figure.k, figure.n]")
    said = figure.said()
    assert said["region"].startswith(region(k, n)), (k, n)
    average, copies = copy_average_loss([k - n + 1]), erf_perturbed_copies(k, n)
    assert as_number(said["copy-average"]) == pytest.approx(average, rel=1e-5)
    assert as_number(said["perturbed copies"]) == pytest.approx(copies.loss, rel=1e-5)
    assert as_number(said["difference"]) == pytest.approx(copies.loss - average, rel=1e-2, abs=1e-12 * average)
    for name, boundary in phase_boundaries(k)._asdict().items():
        assert as_number(said[name]) == pytest.approx(boundary, rel=2e-5, abs=0.0051), (k, name)
    return said["region"]


@in_chromium
def test_phase_diagram(figure):
    figure = figure("phase-diagram")
    seen = {assert_phase_is_right(figure)}
    for name, fraction in [("k", 0.2), ("n", 0.9), ("n", 0.15), ("n", 0.5), ("k", 0.8), ("n", 0.6), ("n", 0.95)]:
        figure.drag(name, fraction)
        seen.add(assert_phase_is_right(figure))
        at = figure.state(f"figure.{name}")
        figure.press(name, "ArrowRight")
        assert figure.state(f"figure.{name}") > at
        assert_phase_is_right(figure)
        figure.press(name, "ArrowLeft")
        figure.press(name, "ArrowLeft")
        assert figure.state(f"figure.{name}") < at
    assert len(seen) == 4
    fifty = [(50, n) for n in (21, 22, 37, 38, 44, 45)]
    for k, n in [(7, 6), *fifty, (1000, 223), (1000, 224), (10**6, 2)]:
        for name, value in [("k", k), ("n", n)]:
            figure.element.locator(f"input[data-field={name}]").fill(str(value))
            figure.element.locator(f"input[data-field={name}]").press("Enter")
        assert figure.state("[figure.k, figure.n]") == [k, n]
        assert_phase_is_right(figure)


@in_chromium
def test_bars_on_the_map_are_the_flows_of_the_tables(figure):
    """Each where its n / k is on the axis, as wide as its share of the flows; in the stretched view, too."""
    figure = figure("phase-diagram")
    looks = {"copy-average": "average", "perturbed-copies": "copy"}
    wanted = Counter()
    for k in ON_THE_MAP:
        table = load_sweep("erf", k)
        for row in table[(table["n"] >= 2) & (table["n"] < k)]:
            wanted[k, int(row["n"]), looks.get(str(row["kind"]), "other")] += 1
    flows = Counter()
    for (k, n, _), count in wanted.items():
        flows[k, n] += count
    for view in ("k up to 1000", "up to a million"):
        figure.element.get_by_label(view).check()
        axis = figure.state("[figure.y(figure.up(4, 1)), figure.y(figure.up(4, 3))]")
        evenly = axis[0] - axis[1] == pytest.approx((380 - 44 - 24) / 2)
        assert evenly == (view == "k up to 1000")
        numbers = "bar => ['x', 'y', 'width'].map(name => +bar.getAttribute(name))"
        bars = figure.element.locator("[data-run]")
        bars = bars.evaluate_all(f"all => all.map(bar => [bar.dataset.run, ...({numbers})(bar)])")
        found, whole = {}, max(width for *_, width in bars)
        for run, x, y, width in bars:
            k, n, look, count = run.split()
            k, n = int(k), int(n)
            found[k, n, look] = int(count)
            assert width == pytest.approx(whole * int(count) / flows[k, n])
            assert y + 2 == pytest.approx(figure.state(f"figure.y(figure.up({k}, {n}))"))
            assert x - 1e-6 <= figure.state(f"figure.x({k})") + whole / 2
        assert found == wanted


@in_chromium
def test_a_large_teacher_opens_the_wide_view(figure):
    figure = figure("phase-diagram")
    field = figure.element.locator("input[data-field=k]")
    field.fill("100000")
    field.press("Enter")
    assert figure.element.get_by_label("up to a million").is_checked()
    assert_phase_is_right(figure)
    figure.element.get_by_label("k up to 1000").check()
    assert figure.state("figure.k") == 1000
    assert_phase_is_right(figure)


@in_chromium
def test_boundaries_between_the_rows_of_the_table(figure):
    figure, rng = figure("phase-diagram"), np.random.default_rng(5)
    for k in np.exp(rng.uniform(math.log(7), math.log(1e6), 12)).tolist():
        for name, n in phase_boundaries(k)._asdict().items():
            assert figure.state(f"figure.constructor.boundary('{name}', {k})") == pytest.approx(n, rel=1e-5), (name, k)


FATES_TABLE = (LIVE / "training-fates-table.js").read_text("utf-8")
FATES = json.loads(re.search(r"TRAINING_FATES = (\{.*\});\n", FATES_TABLE)[1])


@functools.cache
def stored_runs():
    """{(k, n, (optimiser, rate, inputs in a step)): {(scale of W, scale of a): {seed: kind}}}, row by row."""
    found = {}
    for k, n, law, w, a, optimiser, rate, batch, _, seed, kind, _ in load_training("fates").tolist():
        if law == "normal":
            found.setdefault((k, n, (optimiser, rate, batch)), {}).setdefault((w, a), {})[seed] = kind
    return found


def runs_of(k, n, way):
    return stored_runs().get((k, n, WAYS[way]), {})


def exact(count, runs):
    """Clopper and Pearson's 95% interval, by quantiles of the beta distribution."""
    low = beta.ppf(0.025, count, runs - count + 1) if count else 0.0
    return low, beta.ppf(0.975, count + 1, runs - count) if count < runs else 1.0


def test_script_of_the_fates_is_what_its_tool_writes():
    assert FATES_TABLE == source()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_table_of_the_fates_is_what_the_stored_runs_say(size):
    """Every count, every pair, every interval; and the page leaves none of the runs of a way out."""
    ways = FATES["fates"]["{},{}".format(*size)]
    flows = runs_of(*size, "gradient flow")
    for way in WAYS:
        runs = runs_of(*size, way)
        assert {f"{math.log2(w):.0f},{math.log2(a):.0f}" for w, a in runs} == set(ways.get(way, {})), way
        for (w, a), fates in runs.items():
            cell, kinds = ways[way][f"{math.log2(w):.0f},{math.log2(a):.0f}"], Counter(fates.values())
            two = [kinds["perturbed-copies"], kinds["copy-average"]]
            assert cell[:3] == [*two, len(fates) - sum(two)], (way, w, a)
            if way != "gradient flow":
                pairs = [(flows[w, a][seed], fates[seed]) for seed in fates.keys() & flows[w, a].keys()]
                copies = [(one == "perturbed-copies", other == "perturbed-copies") for one, other in pairs]
                assert cell[3:] == [len(pairs), copies.count((True, False)), copies.count((False, True))]
            for count in cell[:3]:
                wanted = exact(count, len(fates))
                assert FATES["intervals"][f"{count}/{len(fates)}"] == pytest.approx(wanted, abs=5.1e-5)


def assert_fates_are_right(figure):
    """What is said and drawn is what the stored runs say; (k, n, way, scale of W, scale of a)."""
    size, way, w, a = figure.state("[figure.size, figure.way, figure.w, figure.a]")
    k, n = map(int, size.split(","))
    checked = figure.element.locator("input[type=radio]:checked")
    assert checked.evaluate_all("all => all.map(radio => radio.value)") == [size, way]
    assert [int(figure.slider(name).input_value()) for name in "wa"] == [w, a]
    runs, flows = (runs_of(k, n, each) for each in (way, "gradient flow"))
    fates, said = runs[2.0**w, 2.0**a], figure.said()
    kinds = Counter(fates.values())
    copies, average = kinds["perturbed-copies"], kinds["copy-average"]
    rest = len(fates) - copies - average
    for name, count in (("perturbed copies", copies), ("copy-average", average)):
        assert (int(said[name]), int(said[f"{name}: runs"])) == (count, len(fates))
        low, high = map(float, re.fullmatch(r"([\d.]+) to ([\d.]+)%", said[f"{name}: interval"]).groups())
        assert [low, high] == pytest.approx([100 * end for end in exact(count, len(fates))], abs=0.056)
    words = {"found": (copies, f"of {len(fates)} runs at perturbed copies"), "averaged": (average, "at copy-average")}
    for name, (count, rest_of_it) in (words | {"elsewhere": (rest, "elsewhere")}).items():
        assert said[name] == f"{count or 'none'} {rest_of_it}"
    sentence = figure.element.locator(".live-sentence").inner_text()
    assert f"k = {k}, n = {n}, " in sentence
    if way != "gradient flow":
        there = flows[2.0**w, 2.0**a]
        both = fates.keys() & there.keys()
        pairs = [(there[seed] == "perturbed-copies", fates[seed] == "perturbed-copies") for seed in both]
        counts = [len(pairs), pairs.count((True, False)), pairs.count((False, True))]
        assert [int(said[name]) for name in ("pairs", "lost", "won")] == counts
    drawn = "all => all.map(bar => [...bar.dataset.run.split(' '), +bar.getAttribute('height')])"
    bars = figure.element.locator("[data-run]").evaluate_all(drawn)
    looks = {"perturbed-copies": "copy", "copy-average": "average"}
    wanted, apart = {}, any(one != other for one, other in runs)
    for (one, other), ends in runs.items():
        if other == (2.0**a if apart else one):
            for kind, count in Counter(looks.get(kind, "other") for kind in ends.values()).items():
                wanted[f"{math.log2(one):.0f}", kind] = (count, 130 * count / len(ends))
    assert {(power, look): int(count) for power, look, count, _ in bars} == {x: c for x, (c, _) in wanted.items()}
    for power, look, _, height in bars:
        assert height == pytest.approx(wanted[power, look][1])
    return k, n, way, w, a


@in_chromium
def test_training_fates(figure):
    figure = figure("training-fates")
    assert assert_fates_are_right(figure) == (8, 6, "gradient flow", 0, 0)
    figure.drag("w", 0.3)
    assert_fates_are_right(figure)
    figure.drag("a", 0.9)
    assert_fates_are_right(figure)
    before, after = figure.press("a", "ArrowLeft")
    w, a = assert_fates_are_right(figure)[3:]
    assert before - after == 1 and w != a
    figure.element.locator("input[name=fates-way]:checked").press("ArrowDown")
    assert assert_fates_are_right(figure)[2:] == ("gradient descent", w, w)
    figure.element.get_by_label("Adam", exact=True).check()
    for name, key in [("w", "Home"), ("w", "ArrowRight"), ("a", "ArrowRight"), ("a", "ArrowLeft"), ("w", "End")]:
        figure.press(name, key)
        assert_fates_are_right(figure)
    figure.press("w", "Home")
    figure.press("w", "ArrowRight")
    assert assert_fates_are_right(figure)[3:] == (-3, -3)  # there are no runs at a sixteenth
    figure.press("a", "ArrowLeft")
    assert assert_fates_are_right(figure)[3:] == (-5, -5)
    for way in ("Adam, batches of 10", "SGD, single inputs"):
        figure.element.get_by_label(way).check()
        for size in ("9, 7", "12, 9", "20, 13", "8, 6"):
            figure.element.get_by_label(size, exact=True).check()
            figure.press("w", "ArrowRight")
            assert_fates_are_right(figure)
    figure.element.get_by_label("50, 25").check()
    assert assert_fates_are_right(figure)[2] == "gradient flow"  # of single inputs there are no runs at this size
    assert figure.element.get_by_label("SGD, single inputs").is_disabled()
    figure.element.get_by_label("Adam", exact=True).check()
    assert assert_fates_are_right(figure) == (50, 25, "Adam", 0, 0)


@in_chromium
def test_a_finger_chooses_a_bar(figure):
    figure = figure("training-fates", width=375)
    figure.page.touchscreen.tap(*figure.center("[data-run^='-5 copy']"))
    assert assert_fates_are_right(figure)[3:] == (-5, 0)
    sizes = figure.element.locator("svg text, p, label").evaluate_all(
        "all => all.map(text => parseFloat(getComputedStyle(text).fontSize))"
    )
    assert min(sizes) >= 11


# Seen by everyone


@in_chromium
@pytest.mark.parametrize("name", NEEDS)
def test_every_slider_has_a_name_and_a_visible_focus(figure, name):
    figure = figure(name)
    controls = figure.element.locator("input, button")
    figure.page.keyboard.press("Tab")  # from here on the focus is shown
    for i in range(controls.count()):
        control = controls.nth(i)
        control.focus()
        style, width = control.evaluate("e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]")
        assert style == "solid" and float(width.removesuffix("px")) >= 2, control.evaluate("e => e.outerHTML")
    for slider in figure.element.get_by_role("slider").all():
        assert slider.evaluate("e => e.labels[0].textContent.trim().length") > 3
        assert slider.get_attribute("aria-valuetext")
    assert figure.element.locator("[aria-live=polite]").count() == 1


@in_chromium
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("name", NEEDS)
def test_text_is_read_in_both_colours(figure, name, colours):
    figure = figure(name, colours=colours)
    if name in ("watch-the-flow", "two-for-three"):
        figure.element.get_by_role("button", name="To the end").click()
        figure.wait("figure.end")
    worst = figure.element.evaluate(f"figure => {{ {CONTRAST}; return leastContrast(figure); }}")
    assert worst["ratio"] >= 4.5, worst


@in_chromium
@pytest.mark.parametrize("name", NEEDS)
def test_figure_fits_a_phone(figure, name):
    figure = figure(name, width=375)
    assert figure.page.evaluate("document.documentElement.scrollWidth") <= 375
    for svg in figure.element.locator("svg:visible").all():
        box = svg.bounding_box()
        assert 0 <= box["x"] and box["x"] + box["width"] <= 375
        sizes = svg.locator("text").evaluate_all("all => all.map(text => parseFloat(getComputedStyle(text).fontSize))")
        assert all(size >= 9 for size in sizes)


@in_chromium
def test_picture_stays_for_print_and_without_scripts(figure, look):
    for name in {name for _, name, _ in figures()}:
        page = figure(name).page
        picture, panel = page.locator(f"{name} img"), page.locator(f"{name} .live-panel")
        assert panel.is_visible() and not picture.is_visible()
        page.emulate_media(media="print")
        assert picture.is_visible() and not panel.is_visible()
        page = look(page_with(name), java_script_enabled=False)
        assert page.locator(f"{name} img").is_visible() and page.locator(f"{name} .live-panel").count() == 0
