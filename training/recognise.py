"""A rule that tells what a picture shows, apart from the network and from the drawing code.

It finds the background's colour on the rim, takes the connected patches that differ from it, and
names each patch by its median colour and by its outline: how much of its box it fills, whether
it has a hole, how much of its convex hull it misses and how wide it is near its top and bottom.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

# The colours as a person would name them; not read from the drawing code.
COLOURS = {
    "red": (0.86, 0.15, 0.17), "orange": (0.97, 0.54, 0.10), "yellow": (0.98, 0.87, 0.22),
    "green": (0.17, 0.63, 0.28), "blue": (0.15, 0.37, 0.86), "purple": (0.56, 0.22, 0.72),
    "white": (0.97, 0.97, 0.95), "black": (0.08, 0.08, 0.10),
}
SMALLEST = 20  # pixels; less is a speck


def nearest_colour(rgb):
    """The name of the colour closest to rgb (three values in 0..1)."""
    return min(COLOURS, key=lambda name: np.abs(np.subtract(COLOURS[name], rgb)).sum())


def outline(mask):
    """The shape's name for a boolean mask [H, W] holding one patch."""
    rows, columns = np.nonzero(mask)
    mask = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    whole = ndimage.binary_fill_holes(mask)
    if whole.sum() - mask.sum() > 0.05 * whole.sum():
        return "ring"
    height, width = mask.shape
    points = np.argwhere(mask)
    corners = np.concatenate([points + d for d in ((0, 0), (0, 1), (1, 0), (1, 1))])
    try:
        solid = mask.sum() / ConvexHull(corners).volume
    except QhullError:
        return "line"
    if solid < 0.75:
        return "other"
    top = mask[int(0.12 * height)].sum() / width
    bottom = mask[int(np.ceil(0.88 * height)) - 1].sum() / width
    if mask.mean() > 0.9:
        return "square"
    if top < 0.45 and bottom > 0.7:
        return "triangle"
    if bottom < 0.5:
        return "other"
    return "circle"


def recognise(picture):
    """(background colour, [(colour, shape, x, y)]) of a picture [H, W, 3] in 0..1.

    x and y are the patch's centre in picture units, from the top left corner.
    """
    rim = np.concatenate([picture[:2].reshape(-1, 3), picture[-2:].reshape(-1, 3),
                          picture[:, :2].reshape(-1, 3), picture[:, -2:].reshape(-1, 3)])
    ground = np.median(rim, 0)
    # Light and shadow scale the background's colour; what is no multiple of it lies in front.
    scale = np.clip(picture @ ground / max(ground @ ground, 1e-3), 0.6, 1.15)
    front = np.abs(picture - scale[..., None] * ground).sum(-1) > 0.28
    labels, count = ndimage.label(front)
    things = []
    for k in range(1, count + 1):
        mask = labels == k
        if mask.sum() < SMALLEST:
            continue
        inside = ndimage.binary_erosion(mask)
        colour = np.median(picture[inside if inside.sum() > 5 else mask], 0)
        y, x = np.argwhere(mask).mean(0) / picture.shape[:2]
        things.append((nearest_colour(colour), outline(mask), x, y))
    return nearest_colour(ground), things


def verdict(scene, picture):
    """What of a scene the picture shows: a dict of booleans.

    kinds: every group's colour and shape is there. counts: and in the right number, with
    nothing else. relation: and the groups lie as asked. background: its colour is right.
    """
    ground, things = recognise(picture)
    places = [[t for t in things if t[:2] == (g.colour, g.shape)] for g in scene.groups]
    kinds = all(places)
    counts = kinds and sum(map(len, places)) == len(things) and all(
        len(p) == g.count for p, g in zip(places, scene.groups)
    )
    relation = counts
    if counts and scene.relation:
        (ax, ay), (bx, by) = (np.mean([t[2:] for t in p], 0) for p in places)
        relation = {"above": ay < by, "below": ay > by, "left": ax < bx, "right": ax > bx}[
            scene.relation
        ]
    return {"background": ground == scene.background, "kinds": kinds, "counts": counts,
            "relation": bool(relation)}
