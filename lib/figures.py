"""How the book draws: its colours, and one glyph for a student below its teacher.

Blue copies, orange averages, teacher neurons are black squares. book/_static/live/glyph.js draws
the same in the pages; tests/book/test_tour.py holds the two together. Matplotlib is imported when
something is drawn.
"""

import time
import warnings
from contextlib import contextmanager

import numpy as np

from lib.arguments import instance, integer, real
from lib.networks import Network

COPY, AVERAGE, OTHER = "#1f77b4", "#ff7f0e", "#8c8c8c"
VIOLET, GREEN = "#8a5fc2", "#2a8a57"  # where two more hues are needed, with a label on the curve
INK = "#101112"  # of letters on coloured areas: no grey, since dark pages make greys light
COLOURS = {"copy": COPY, "average": AVERAGE, "other": OTHER}
_STYLE = {
    "svg.hashsalt": "copy or average",  # the names of clip paths would be random otherwise
    "figure.figsize": (6.4, 3.6),
    "figure.constrained_layout.use": True,
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_RADIUS = 0.3  # of a circle with |a| = 1, in distances between teacher neurons


def use_style():
    """Draw the figures of a notebook as the book does: vector pictures of one size of type.

    Call it in the cell that imports. Drawn again, a picture is the same file, for git.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from lib import figures
    >>> with plt.rc_context():
    ...     figures.use_style()
    ...     plt.rcParams["font.size"]
    10.0
    """
    import matplotlib.pyplot as plt

    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # not in a notebook
        pass
    else:
        if get_ipython() is not None:
            set_matplotlib_formats("svg")
    cycle = plt.cycler(color=[OTHER, VIOLET, GREEN])
    plt.rcParams.update(_STYLE | {"axes.prop_cycle": cycle})


def path_weights(student, k):
    """What each student neuron passes on of each teacher neuron's direction, a_i w_ij.

    Parameters
    ----------
    student : Network
        Of n neurons in d >= k dimensions; the teacher neurons are e_1, ..., e_k.
    k : int
        Number of teacher neurons.

    Returns
    -------
    ndarray, shape (n, k)
        For an odd activation the signs of a_i and w_i alone mean nothing; that of the product does.

    Raises
    ------
    ValueError
        Unless `student` is a Network and 1 <= k <= d.

    Examples
    --------
    >>> from lib import copy_average
    >>> path_weights(copy_average([1, 2]), 3).round(3)
    array([[1.   , 0.   , 0.   ],
           [0.   , 0.816, 0.816]])
    """
    k = integer("k", k, least=1)
    if instance("student", student, Network).d < k:
        raise ValueError(f"k must be at most the dimension d = {student.d} of the student, got {k}")
    return student.a[:, None] * student.W[:, :k]


def roles(weights):
    """'copy' where one teacher neuron has more than half of the squared weights, else 'other'.

    Parameters
    ----------
    weights : array_like, shape (n, k)
        As `path_weights` returns them.

    Returns
    -------
    list of str
        One for each student neuron. Which of the others are averages is not seen from the weights
        of a student that is still being trained: whoever draws a copy-average says so.

    Examples
    --------
    >>> roles([[1.0, -0.2, 0.1], [0.5, 0.5, 0.5]])
    ['copy', 'other']
    """
    squares = np.square(weights)
    return ["copy" if row.max() > 0.5 * row.sum() else "other" for row in squares]


def places(weights, radii):
    """Where the student neurons stand: each below its largest weights, none on another.

    Parameters
    ----------
    weights : array_like, shape (n, k)
        As `path_weights` returns them; teacher neuron j stands at x = j = 0, ..., k - 1.
    radii : array_like, shape (n,)
        Of the circles, in distances between teacher neurons.

    Returns
    -------
    ndarray, shape (n,)
        The x nearest to the means of j weighted with (a_i w_ij)^4, in the sense of least squares,
        at distances of at least 1 and at least the sum of two radii, in the order of these means.

    Examples
    --------
    >>> places([[1.0, 0.0, 0.0, 0.0], [0.0, 0.7, 0.7, 0.7]], [0.3, 0.5])
    array([0., 2.])
    """
    fourth, radii = np.power(weights, 4), np.asarray(radii, float)
    n, k = fourth.shape
    total = fourth.sum(axis=1)
    middle = np.full(n, (k - 1) / 2)
    wanted = np.divide(fourth @ np.arange(k), total, out=middle, where=total > 0)
    order = np.argsort(wanted, kind="stable")
    gaps = np.maximum(1.0, radii[order][1:] + radii[order][:-1])
    offsets = np.concatenate(([0.0], np.cumsum(gaps)))
    blocks = []  # mean and size: neighbours that would overlap move together
    for value in wanted[order] - offsets:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (right, many), (left, few) = blocks.pop(), blocks.pop()
            blocks.append(((right * many + left * few) / (many + few), many + few))
    x = np.empty(n)
    x[order] = np.repeat([mean for mean, _ in blocks], [size for _, size in blocks]) + offsets
    return x


def draw_student(ax, student, k, neuron_roles=None, spacing=22.0):
    """The glyph: teacher neurons as squares in a row at y = 1, student neurons as circles at y = 0.

    Lines are as wide as the weights a_i w_ij, negative ones dashed; circles have areas that grow
    with ``|a_i|``.

    Parameters
    ----------
    ax : matplotlib Axes
        Its axis is switched off; teacher neuron j stands at x = j.
    student : Network
        Of n neurons in d >= k dimensions.
    k : int
        Number of teacher neurons, e_1, ..., e_k.
    neuron_roles : sequence of str, optional
        'copy', 'average' or 'other' for each student neuron; `roles` of the weights where left out.
    spacing : float
        Points between two teacher neurons: a share 1 / (k + 1) of the width of the axes.

    Raises
    ------
    ValueError
        As `path_weights`, and where `neuron_roles` are not n names of COLOURS.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from lib import copy_average, figures
    >>> _, ax = plt.subplots()
    >>> figures.draw_student(ax, copy_average([1, 1, 3]), 5, ["copy", "copy", "average"])
    >>> plt.close()
    """
    from matplotlib.collections import LineCollection

    weights = path_weights(student, k)
    neuron_roles = roles(weights) if neuron_roles is None else list(neuron_roles)
    if len(neuron_roles) != student.n or not set(neuron_roles) <= set(COLOURS):
        known = sorted(COLOURS)
        raise ValueError(f"neuron_roles must be {student.n} of {known}, got {neuron_roles}")
    colours = [COLOURS[role] for role in neuron_roles]
    radii = _RADIUS * np.sqrt(np.abs(student.a))
    x, unit = places(weights, radii), min(3.0, spacing / 2)
    for sign, style in ((1, "-"), (-1, (0, (3, 2)))):
        at = np.argwhere(sign * weights > 0)
        lines = [[(j, 1), (x[i], 0)] for i, j in at]
        widths = unit * np.abs(weights[tuple(at.T)])
        looks = {"linewidths": widths, "colors": [colours[i] for i, _ in at], "linestyles": [style]}
        ax.add_collection(LineCollection(lines, **looks, alpha=0.75, zorder=1))
    ax.scatter(np.arange(k), np.ones(k), s=(0.5 * spacing) ** 2, color="black", marker="s", lw=0)
    ax.scatter(x, np.zeros(student.n), s=(2 * radii * spacing) ** 2, color=colours, lw=0)
    ax.set(xlim=(-1, k), ylim=(-0.35, 1.2), xticks=[], yticks=[])
    ax.axis("off")


def _shown_in_notebook(figure):
    """The function that shows the figure again in its place, in a notebook; None elsewhere."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    place = display(figure, display_id=True)
    return lambda: place.update(figure)


def live_plot(seconds=0.5):
    """Watch a flow while it runs: its loss, its gradient and the norms of the student neurons.

    The picture is drawn again in its place, in a notebook or in a window, and once more when the
    flow has ended or was interrupted. At most a fifth of the time is spent on pictures.

    Parameters
    ----------
    seconds : float
        Least time between two pictures, >= 0.

    Returns
    -------
    context manager
        It gives the callback for `gradient_flow`, ``callback(time, loss, gradient_norm, student)``.

    Raises
    ------
    ValueError
        Where ``seconds`` is not such a number.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from lib import Network, PopulationLoss, copy_average, figures, gradient_flow, kernels
    >>> L = PopulationLoss(Network.orthonormal(4, 5), kernels.erf)
    >>> start = Network(0.9 * copy_average([1, 3], 5).W, [1.0, 2.0])
    >>> with figures.live_plot() as plot:
    ...     flow = gradient_flow(L, start, callback=plot)
    >>> flow.status
    'converged'
    >>> plt.close()
    """
    return _live_plot(real("seconds", seconds, 0.0))


@contextmanager
def _live_plot(seconds):
    import matplotlib.pyplot as plt

    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(4.3, 4.2))
    top.set(xscale="log", yscale="log", title="Waiting for the first step")
    bottom.set(xlabel="time $t$", ylabel=r"norms $\|w_i\|$")
    (loss_curve,) = top.plot([], [], color=VIOLET, label="loss $L$")
    (slope_curve,) = top.plot([], [], color=GREEN, label=r"gradient $\|\nabla L\|$")
    top.legend()
    curves, points = [], []
    show = _shown_in_notebook(figure)
    in_notebook = show is not None
    if not in_notebook:
        with warnings.catch_warnings():  # without windows `plt.savefig` stores the last picture
            warnings.simplefilter("ignore", UserWarning)
            plt.show(block=False)
        show = figure.canvas.flush_events
    next_time = time.monotonic() + seconds

    def draw():
        times, losses, slopes, norms = zip(*points, strict=True)
        loss_curve.set_data(times, losses)
        slope_curve.set_data(times, slopes)
        if not curves:
            curves.extend(bottom.plot(times, norms, color="0.5", lw=1.0))
        for curve, values in zip(curves, np.transpose(norms), strict=True):
            curve.set_data(times, values)
        top.set_title(f"$L$ = {losses[-1]:.6f} at $t$ = {times[-1]:.4g}, step {len(times)}")
        for ax in (top, bottom):
            ax.relim()
            ax.autoscale_view()
        show()

    def callback(at, loss, gradient_norm, student):
        nonlocal next_time
        if at > 0:  # the axis of times is logarithmic
            points.append((at, loss, gradient_norm, np.linalg.norm(student.W, axis=1)))
        begin = time.monotonic()
        if points and begin >= next_time:
            draw()
            end = time.monotonic()
            next_time = end + max(seconds, 4 * (end - begin))

    try:
        yield callback
    finally:
        if points:
            draw()
        if in_notebook:  # which would show the figure a second time below the cell
            plt.close(figure)
