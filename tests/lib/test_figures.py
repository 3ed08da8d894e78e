"""lib/figures.py: where the student neurons of the glyph stand, and what is drawn of the weights."""

import matplotlib.pyplot as plt
import nbclient
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.optimize import lsq_linear

from lib import Network, PopulationLoss, copy_average, figures, glorot, gradient_flow, kernels, perturbed_copies


def nearest_without_overlap(wanted, gaps):
    """x nearest to the sorted wanted places with x[i + 1] - x[i] >= gaps[i], by bounded least squares."""
    n = len(wanted)
    A = np.tril(np.ones((n, n)))  # x = A @ (first place, distances)
    low = np.concatenate(([-np.inf], gaps))
    return A @ lsq_linear(A, wanted, (low, np.inf), tol=1e-14).x


def test_places_are_the_nearest_without_overlap():
    rng = np.random.default_rng(3)
    for n, k in [(1, 1), (2, 9), (6, 8), (7, 8), (30, 40)]:
        weights, radii = rng.standard_normal((n, k)), rng.uniform(0.1, 1.5, n)
        fourth = weights**4
        wanted = fourth @ np.arange(k) / fourth.sum(axis=1)
        order = np.argsort(wanted)
        gaps = np.maximum(1, radii[order][1:] + radii[order][:-1])
        found = figures.places(weights, radii)[order]
        assert found == pytest.approx(nearest_without_overlap(wanted[order], gaps), abs=1e-6)


def test_a_silent_neuron_stands_in_the_middle():
    assert figures.places(np.zeros((1, 5)), [0.0]) == [2.0]


@pytest.mark.parametrize("k, n", [(8, 2), (8, 6), (50, 25), (100, 98)])
def test_copies_stand_below_their_teacher_neurons_and_the_average_below_its_group(k, n):
    student = copy_average([1] * (n - 1) + [k - n + 1])
    weights = figures.path_weights(student, k)
    assert figures.places(weights, np.zeros(n)) == pytest.approx([*range(n - 1), (n - 1 + k - 1) / 2])
    assert figures.roles(weights) == ["copy"] * (n - 1) + ["other"]


def test_perturbed_copies_are_copies_where_they_are_minima():
    for k, n in [(8, 5), (8, 7), (50, 22), (50, 49)]:
        weights = figures.path_weights(perturbed_copies(kernels.erf, k, n), k)
        assert figures.roles(weights) == ["copy"] * n


def drawn(student, k, *roles):
    ax = Figure().subplots()
    figures.draw_student(ax, student, k, *roles)
    return ax.collections


def test_lines_are_as_wide_as_the_weights_and_dashed_where_negative():
    student = Network([[1.0, -0.5, 0.0], [0.0, 0.2, 2.0]], [1.0, -1.0])
    positive, negative, teacher, circles = drawn(student, 3)
    for lines, wanted in [(positive, {(0, 1.0)}), (negative, {(1, 0.5), (1, 0.2), (2, 2.0)})]:
        teachers = [int(segment[0][0]) for segment in lines.get_segments()]
        widths = np.round(lines.get_linewidths() / np.float64(3), 12)
        assert set(zip(teachers, widths.tolist(), strict=True)) == wanted
    assert positive.get_linestyle()[0][1] is None and negative.get_linestyle()[0][1] is not None
    assert len(teacher.get_offsets()) == 3 and len(circles.get_offsets()) == 2


def test_lines_lead_from_teacher_neurons_to_the_circles_and_have_their_colours():
    """The first neuron stands right of the second; its line to the second teacher neuron is dashed."""
    student = Network([[0.0, -0.5, 2.0], [1.0, 0.0, 0.0]], [1.0, 4.0])
    positive, negative, teacher, circles = drawn(student, 3, ["average", "copy"])
    (right, low), (left, _) = circles.get_offsets()
    assert left < right and low == 0.0 and circles.get_offsets()[1][1] == 0.0
    assert teacher.get_offsets().tolist() == [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    for lines, wanted in (
        (positive, [([2, 1], [right, 0], figures.AVERAGE), ([0, 1], [left, 0], figures.COPY)]),
        (negative, [([1, 1], [right, 0], figures.AVERAGE)]),
    ):
        for segment, colour, (start, end, name) in zip(lines.get_segments(), lines.get_colors(), wanted, strict=True):
            assert segment.tolist() == [start, end] and to_hex(colour) == name
    # 0.3 and 0.6 of the 22 points between teacher neurons, squares as wide as half of them.
    assert np.sqrt(circles.get_sizes()) == pytest.approx([2 * 0.3 * 22, 2 * 0.6 * 22])
    assert np.sqrt(teacher.get_sizes()) == pytest.approx([11.0])


def test_a_copy_has_more_than_half_of_its_squared_weights_on_one_teacher_neuron():
    assert figures.roles([[-0.8, 0.6], [1.0, 1.0], [0.0, 0.0], [1.0, 0.99]]) == ["copy", "other", "other", "copy"]


def test_areas_grow_with_outgoing_weights_and_colours_are_the_book_s():
    *_, circles = drawn(copy_average([1, 3]), 4, ["copy", "average"])
    one, three = circles.get_sizes()
    assert three == pytest.approx(3 * one)
    assert [to_hex(colour) for colour in circles.get_facecolors()] == [figures.COPY, figures.AVERAGE]


def test_bad_input_is_named():
    student = copy_average([1, 2])
    with pytest.raises(ValueError, match="k must be at most the dimension d = 3 .* got 4"):
        figures.path_weights(student, 4)
    with pytest.raises(ValueError, match="student must be"):
        figures.path_weights("student", 3)
    with pytest.raises(ValueError, match="neuron_roles must be 2 of .* got .*'mean'"):
        drawn(student, 3, ["copy", "mean"])


def watched(steps, seconds, monkeypatch):
    """The axes of a live plot to which these steps were told, once for each of its pictures."""
    pictures = []
    monkeypatch.setattr(figures, "_shown_in_notebook", lambda figure: lambda: pictures.append(figure.axes))
    with figures.live_plot(seconds) as plot:
        for step in steps:
            plot(*step)
    return pictures


def test_a_live_plot_shows_what_it_was_told_after_each_step_and_at_the_end(monkeypatch):
    steps = [(t, 1 / (1 + t), 2 / (1 + t), Network([[3.0, 4.0 * t], [0.0, t]], [1.0, 2.0])) for t in (0.0, 1.0, 2.0)]
    pictures = watched(steps, 0.0, monkeypatch)
    top, bottom = pictures[-1]
    for curve, wanted in zip(top.lines, ([1 / 2, 1 / 3], [1.0, 2 / 3]), strict=True):
        assert curve.get_xydata() == pytest.approx(np.transpose([[1.0, 2.0], wanted]))
    norms = [curve.get_ydata() for curve in bottom.lines]
    assert np.array(norms) == pytest.approx(np.array([[5.0, np.hypot(3, 8)], [1.0, 2.0]]))
    assert "0.333333" in top.get_title() and "step 2" in top.get_title()
    assert len(pictures) >= 2 and not plt.get_fignums()
    assert len(watched(steps, 60.0, monkeypatch)) == 1  # the last one
    assert watched(steps[:1], 0.0, monkeypatch) == []  # nothing happened yet


@pytest.mark.parametrize(("seconds", "wanted"), [(0.0, [1.0, 6.0, 11.0, 13.0]), (7.0, [7.0, 13.0])])
def test_a_live_plot_takes_a_fifth_of_the_time_at_most(monkeypatch, seconds, wanted):
    """Each step takes a second, and each picture another one: the next begins four seconds after it."""
    clock, begun = [0.0], []

    def show():
        begun.append(clock[0])
        clock[0] += 1.0

    monkeypatch.setattr(figures.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(figures, "_shown_in_notebook", lambda figure: show)
    with figures.live_plot(seconds) as plot:
        while clock[0] < 12.5:
            clock[0] += 1.0
            plot(clock[0], 1.0, 1.0, Network([[1.0]], [1.0]))
    assert begun == wanted


def test_a_live_plot_shows_the_last_step_of_a_flow_that_is_interrupted(monkeypatch):
    pictures = []
    monkeypatch.setattr(figures, "_shown_in_notebook", lambda figure: lambda: pictures.append(figure.axes))
    L = PopulationLoss(Network.orthonormal(4, 5), kernels.erf)

    def until(plot):
        def callback(*step):
            plot(*step)
            if step[0] > 1:
                raise KeyboardInterrupt

        return callback

    with figures.live_plot(60.0) as plot:
        flow = gradient_flow(L, glorot(np.random.default_rng(0), 2, 5), callback=until(plot))
    assert flow.status == "interrupted" and len(pictures) == 1
    assert pictures[0][0].lines[0].get_ydata()[-1] == pytest.approx(flow.losses[-1])


def test_in_a_notebook_a_live_plot_is_one_picture_in_its_place():
    source = """
from lib import Network, figures
with figures.live_plot(0.0) as plot:
    for t in (1.0, 2.0, 3.0):
        plot(t, 1.0 / t, 1.0, Network([[t]], [1.0]))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data" and "image/png" in output.data
