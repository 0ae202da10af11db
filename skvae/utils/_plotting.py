"""Helpers of the displays: colours, line styles, and axes to draw on."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

# The colours of Okabe & Ito 2008, which colour-blind readers can distinguish, without
# their yellow, which is hard to see on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, BLACK = "#E69F00", "#56B4E9", "#000000"
GREY, LIGHT_GREY = "#767676", "#D0D0D0"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
# These distinguish the lines in print without colours.
LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

PANEL_HEIGHT = 1.6  # inches, if a new figure has several panels
MAX_PICTURE_HEIGHT = 8  # inches
MARKERS_PER_LINE = 12


def line_style(index, n_points=1):
    """Return the style of one of several lines.

    Parameters
    ----------
    index : int
        Number of the line, from 0.
    n_points : int, default=1
        Number of points of the line. If there are many, only some get a marker.

    Returns
    -------
    style : dict
        Keyword arguments for ``Axes.plot``.
    """
    return {
        "color": COLORS[index % len(COLORS)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markersize": 4,
        "markevery": max(1, n_points // MARKERS_PER_LINE),
    }


def merge_style(default, given, artist):
    """Update the default keywords by those of the caller, which may be aliases.

    Parameters
    ----------
    default : dict
        Keywords of the display.
    given : dict or None
        Keywords of the caller, such as ``lw`` or ``linewidth``.
    artist : type
        The matplotlib class that accepts them.

    Returns
    -------
    style : dict
        All keywords by their full names.

    Raises
    ------
    TypeError
        If one keyword is given under two names.
    """
    from matplotlib.cbook import normalize_kwargs

    return normalize_kwargs(default, artist) | normalize_kwargs(given or {}, artist)


def make_panels(display, ax, n_panels=1, *, aspect=None):
    """Return the axes that a display draws on, one below the other.

    Parameters
    ----------
    display : object
        The display; errors name its class.
    ax : matplotlib Axes, array-like of Axes or None
        None creates a figure. A single Axes is hidden and divided if several panels
        are needed. An array holds one Axes per panel.
    n_panels : int, default=1
        Number of panels needed.
    aspect : float, default=None
        Height divided by width of the image that a new figure is made for.

    Returns
    -------
    axes : ndarray of shape (n_panels,) of Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If `ax` is something else.
    ValueError
        If the number of axes does not match, or if a single one cannot be divided.
    """
    name = type(display).__name__
    check_matplotlib_support(f"{name}.plot")
    import matplotlib.pyplot as plt

    if ax is None:
        size = plt.rcParams["figure.figsize"]
        if n_panels > 1:
            size = (size[0], 0.6 + PANEL_HEIGHT * n_panels)
        if aspect is not None:
            width = min(size[0], MAX_PICTURE_HEIGHT / aspect)
            size = (width, 0.3 + width * aspect)
        _, axes = plt.subplots(
            n_panels, sharex=True, squeeze=False, figsize=size, layout="constrained"
        )
        axes = axes.ravel()
    elif isinstance(ax, plt.Axes):
        axes = np.array([ax]) if n_panels == 1 else _divide(name, ax, n_panels)
    else:
        axes = np.asarray(ax, dtype=object).ravel()
        if not all(isinstance(panel, plt.Axes) for panel in axes):
            raise TypeError(
                f"ax={ax!r}: pass matplotlib Axes, an array of them, or None for a "
                "new figure."
            )
        if len(axes) != n_panels:
            raise ValueError(
                f"ax holds {len(axes)} Axes but {name} draws {n_panels} panels; pass "
                f"{n_panels} Axes, or a single one, which is divided."
            )
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return axes


def _divide(name, ax, n_panels):
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            f"{name} draws {n_panels} panels, but ax cannot be divided because it is "
            f"not a subplot; pass {n_panels} Axes, or one made by plt.subplots()."
        )
    ax.set_axis_off()
    grid = place.subgridspec(n_panels, 1)
    first = ax.figure.add_subplot(grid[0])
    rest = [ax.figure.add_subplot(grid[i], sharex=first) for i in range(1, n_panels)]
    for panel in [first, *rest[:-1]]:
        panel.tick_params(labelbottom=False)
    return np.array([first, *rest])


def count_from_one(axes, time_unit):
    """Label the x axis of the lowest panel, and put ticks at whole numbers only.

    Parameters
    ----------
    axes : sequence of Axes
        Panels, from top to bottom.
    time_unit : str
        Label of the x axis, such as "epoch" or "round".
    """
    from matplotlib.ticker import MaxNLocator

    for panel in axes:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel(time_unit)


def metric_label(metric):
    """Write the name of a ranking metric for a plot: "ndcg@100" as "NDCG@100".

    Parameters
    ----------
    metric : str
        Name, with or without its k.

    Returns
    -------
    label : str
        Label of an axis.
    """
    if metric.startswith("ndcg"):
        return "NDCG" + metric.removeprefix("ndcg").replace("_", " ")
    return metric.replace("_", " ").capitalize()
