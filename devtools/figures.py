"""Draws the pictures of docs/: `python3 dev.py docs`. Needs matplotlib, of requirements-dev.txt."""

import math

STEPS = 20
VE_COLOUR, FLOW_COLOUR = "#2b6cb0", "#dd6b20"


def curves(stride, family, target):
    """One panel for each schedule of a family: log-SNR against the step, on two models."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = (
        ("SD1.5, SDXL", stride.schedules.ModelSpec.discrete(), VE_COLOUR),
        ("flow, shift 3", stride.schedules.ModelSpec.flow(3.0), FLOW_COLOUR),
    )
    entries = family.SCHEDULES
    columns = min(4, len(entries))
    rows = math.ceil(len(entries) / columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(2.6 * columns, 2.1 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axis, entry in zip(axes.flat, entries):
        steps = max(entry.counts, default=STEPS)
        for label, spec, colour in models:
            levels = entry.sigmas(spec, min(steps, STEPS)).tolist()[:-1]
            points = [(i / len(levels), spec.process.log_snr(s)) for i, s in enumerate(levels)]
            points = [point for point in points if math.isfinite(point[1])]
            axis.plot(*zip(*points), ".-", color=colour, label=label, linewidth=1, markersize=4)
        axis.set_title(entry.name, fontsize=9)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(entries) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("log-SNR", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("share of the steps done", fontsize=8)
    axes.flat[0].legend(fontsize=7, loc="upper left")
    figure.tight_layout()
    figure.savefig(target, dpi=90, metadata={"Software": None})
    pyplot.close(figure)
