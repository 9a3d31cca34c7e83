"""Procedural scenes: a small grammar of coloured shapes, its captions and its drawings.

A scene holds one or two groups of equal things on a softly graded background. Captions are plain
English ("a red circle above two blue squares on a green background"). Coordinates are in picture
units: (0, 0) is the top left corner, (1, 1) the bottom right one. Nothing here is downloaded; the
same seed always gives the same scene.
"""

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import torch

COLOURS = {
    "red": (0.86, 0.15, 0.17),
    "orange": (0.97, 0.54, 0.10),
    "yellow": (0.98, 0.87, 0.22),
    "green": (0.17, 0.63, 0.28),
    "blue": (0.15, 0.37, 0.86),
    "purple": (0.56, 0.22, 0.72),
    "white": (0.97, 0.97, 0.95),
    "black": (0.08, 0.08, 0.10),
}
SHAPES = ("circle", "square", "triangle", "ring")
PLURALS = {shape: shape + "s" for shape in SHAPES}
COUNTS = ("one", "two", "three")
SIZES = ("small", "large")
RELATIONS = ("above", "below", "left", "right")
OPPOSITE = {"above": "below", "below": "above", "left": "right", "right": "left"}
PHRASES = {"above": "above", "below": "below", "left": "left of", "right": "right of"}

COLOUR_NAMES = tuple(COLOURS)
_RGB = torch.tensor([COLOURS[name] for name in COLOUR_NAMES])


@dataclass(frozen=True)
class Group:
    """Some equal things. count is 1 to 3 or None, size is "small", "large" or None.

    None means that a caption leaves it open; scenes to be drawn have count, colour and shape.
    """

    colour: str | None
    shape: str
    count: int | None = 1
    size: str | None = None


@dataclass(frozen=True)
class Scene:
    """One or two groups and their background.

    relation says where groups[0] lies as seen from groups[1] (None with one group). items are the
    placed things as (shape index, x, y, radius, r, g, b); grade is (r, g, b, dx, dy), the
    background's colour and the change of its brightness across the picture. Both are empty in what
    `parse` returns.
    """

    groups: tuple[Group, ...]
    relation: str | None = None
    background: str | None = None
    items: tuple = field(default=(), repr=False)
    grade: tuple = field(default=(), repr=False)


def held_out(colour, shape, background):
    """True for the one in eight (colour, shape, background) combinations kept from training."""
    digest = hashlib.sha256(f"{colour} {shape} {background}".encode()).digest()
    return digest[0] % 8 == 0


def is_held_out(scene):
    """True if any group of the scene is a held-out combination with its background."""
    return any(held_out(g.colour, g.shape, scene.background) for g in scene.groups)


def random_scene(rng, split=None):
    """A random scene from a numpy Generator.

    split: "train" gives scenes with no held-out combination, "test" scenes whose first group is
    one, None any scene.
    """
    while True:
        scene = _random_groups(rng)
        if split == "train" and is_held_out(scene):
            continue
        first = scene.groups[0]
        if split == "test" and not held_out(first.colour, first.shape, scene.background):
            continue
        return place(scene, rng)


def _random_groups(rng):
    picks = rng.permutation(len(COLOUR_NAMES))[:3]
    background, *inks = (COLOUR_NAMES[i] for i in picks)
    pair = rng.random() < 0.4
    groups = []
    for ink in inks[: 2 if pair else 1]:
        # Now and then both groups share a colour, so that colour alone does not tell them apart.
        colour = inks[0] if rng.random() < 0.1 else ink
        count = 1 + int(rng.choice(3, p=(0.68, 0.22, 0.10)))
        size = (None, "small", "large")[int(rng.choice(3, p=(0.7, 0.15, 0.15)))]
        groups.append(Group(colour, SHAPES[rng.integers(len(SHAPES))], count, size))
    if pair and groups[0].shape == groups[1].shape and groups[0].colour == groups[1].colour:
        return Scene((groups[0],), None, background)
    relation = RELATIONS[rng.integers(4)] if pair else None
    return Scene(tuple(groups), relation, background)


# Radii (low, high) by (number of groups, count, size).
_RADII = {
    (1, 1): {"small": (0.12, 0.15), None: (0.20, 0.28), "large": (0.33, 0.38)},
    (1, 2): {"small": (0.10, 0.12), None: (0.15, 0.175), "large": (0.195, 0.21)},
    (1, 3): {"small": (0.09, 0.10), None: (0.115, 0.13), "large": (0.14, 0.15)},
    (2, 1): {"small": (0.11, 0.13), None: (0.155, 0.185), "large": (0.205, 0.22)},
    (2, 2): {"small": (0.10, 0.115), None: (0.14, 0.165), "large": (0.18, 0.195)},
    (2, 3): {"small": (0.09, 0.10), None: (0.115, 0.13), "large": (0.14, 0.15)},
}
_ROWS = {1: (0.5,), 2: (0.25, 0.75), 3: (0.1875, 0.5, 0.8125)}


# Things stand on a lattice and their sizes come in steps, as if drawn on squared paper: a small
# network learns clean outlines from few distinct edges. A step of size makes a square's half
# side one pixel (of 64) longer.
SQUARE = 0.89  # half side of the square of radius 1
PLACE_STEP = 1 / 16
RADIUS_STEP = 1 / (64 * SQUARE)


def snap(value, step):
    """The multiple of step nearest to value."""
    return round(value / step) * step


def place(scene, rng):
    """The scene with places, sizes and exact colours drawn from rng."""
    items = []
    for index, group in enumerate(scene.groups):
        low, high = _RADII[len(scene.groups), group.count][group.size]
        radius = snap(rng.uniform(low, high), RADIUS_STEP)
        rgb = np.asarray(COLOURS[group.colour]) + rng.normal(0, 0.015, 3)
        along = np.asarray(_ROWS[group.count])
        if len(scene.groups) == 1:
            spread = 0.10 if group.count == 1 else 0.07
            across = 0.5 + rng.normal(0, spread)
            along = along + rng.normal(0, 0.10 if group.count == 1 else 0.015, 1)
            upright = rng.random() < 0.2
        else:
            upright = scene.relation in ("left", "right")
            first_is_low = scene.relation in ("above", "left")
            across = 0.25 if (index == 0) == first_is_low else 0.75
            along = along + rng.normal(0, 0.05 if group.count == 1 else 0.012, 1)
        for place_along in along:
            x, y = (across, place_along) if upright else (place_along, across)
            edge = min(1.12 * radius + 0.02, 0.5)
            x, y = (snap(float(np.clip(v, edge, 1 - edge)), PLACE_STEP) for v in (x, y))
            items.append((SHAPES.index(group.shape), x, y, radius, *rgb))
    tone = np.asarray(COLOURS[scene.background]) + rng.normal(0, 0.015, 3)
    grade = (*tone, rng.normal(0, 0.03), rng.uniform(-0.09, 0.03))
    return Scene(scene.groups, scene.relation, scene.background, tuple(items), grade)


def _article(word):
    return "an" if word[0] in "aeiou" else "a"


def _noun(group, colour=True, article=True):
    count = group.count or 1
    words = []
    if count > 1:
        words.append(COUNTS[count - 1])
    if group.size:
        words.append(group.size)
    if colour and group.colour:
        words.append(group.colour)
    words.append(PLURALS[group.shape] if count > 1 else group.shape)
    if count == 1 and article:
        words.insert(0, _article(words[0]))
    return " ".join(words)


def caption(scene, rng=None):
    """The scene in words: complete and in a fixed order, or freely worded when rng is given."""
    chance = rng.random(8) if rng is not None else np.ones(8)
    groups, relation = scene.groups, scene.relation
    if len(groups) == 2 and chance[0] < 0.5:
        groups, relation = groups[::-1], OPPOSITE[relation]
    article = chance[1] > 0.2
    nouns = [_noun(group, chance[2] > 0.05, article) for group in groups]
    text = nouns[0]
    if len(nouns) == 2:
        link = PHRASES[relation]
        if chance[3] < 0.12:
            sideways = relation in ("left", "right")
            link = "and" if chance[3] < 0.06 else "beside" if sideways else link
        text = f"{nouns[0]} {link} {nouns[1]}"
        if chance[7] < 0.08:
            text = nouns[0]
    if scene.background and chance[4] > 0.2:
        ground = f"{scene.background} background"
        if chance[5] < 0.15:
            text = f"{ground}, {text}"
        elif chance[5] < 0.35:
            text = f"{text}, {ground}"
        else:
            text = f"{text} on {_article(ground)} {ground}"
        if chance[6] < 0.04:
            text = ground
    return text


def parse(text):
    """What a caption asks for, as a Scene without items; None where it says nothing.

    Words it does not know are passed over (`text.unknown_words` names them). Understands one or
    two groups; returns a Scene with no groups when the caption names no shape.
    """
    try:
        from .text import words
    except ImportError:  # run as a script, with this folder on the path
        from text import words

    singular = {plural: shape for shape, plural in PLURALS.items()}
    groups, relation, background = [], None, None
    colour = count = size = None
    for word in words(text):
        if word in COUNTS:
            count = COUNTS.index(word) + 1
        elif word in SIZES:
            size = word
        elif word in COLOURS:
            colour = word
        elif word in RELATIONS:
            relation = word
        elif word == "background":
            background, colour, count, size = colour, None, None, None
        elif word in SHAPES or word in singular:
            if word in SHAPES:
                count = 1
            groups.append(Group(colour, singular.get(word, word), count, size))
            colour = count = size = None
    return Scene(tuple(groups[:2]), relation if len(groups) > 1 else None, background)


def _fold(x, y, n):
    """Folds the plane onto one half of one of n equal sectors around the upward axis."""
    angle = torch.atan2(x, -y)
    sector = 2 * math.pi / n
    angle = (angle - sector * torch.round(angle / sector)).abs()
    radius = torch.sqrt(x * x + y * y)
    return radius * torch.sin(angle), radius * torch.cos(angle)


def _distance(shape, x, y):
    """Signed distance (negative inside) of the unit shape; y grows downwards."""
    if shape == "circle":
        return torch.sqrt(x * x + y * y) - 1.0
    if shape == "ring":
        return (torch.sqrt(x * x + y * y) - 0.76).abs() - 0.27
    if shape == "square":
        return torch.maximum(x.abs(), y.abs()) - SQUARE
    u, v = _fold(x, -(y - 0.28), 3)
    return v - 0.62


def draw_batch(scenes, size=64, device="cpu"):
    """Draws placed scenes, anti-aliased: float tensor [len(scenes), 3, size, size] in [-1, 1]."""
    grade = torch.tensor([scene.grade for scene in scenes], dtype=torch.float32, device=device)
    axis = (torch.arange(size, device=device) + 0.5) / size
    slope = grade[:, 3, None, None] * (axis[None, None] - 0.5)
    slope = slope + grade[:, 4, None, None] * (axis[None, :, None] - 0.5)
    picture = grade[:, :3, None, None] * (1 + 2 * slope[:, None])
    owner = [b for b, scene in enumerate(scenes) for _ in scene.items]
    rank = [k for scene in scenes for k in range(len(scene.items))]
    flat = torch.tensor([item for scene in scenes for item in scene.items], dtype=torch.float32)
    kinds = flat[:, 0].long()
    values = flat.to(device)[:, 1:, None, None]
    radius = values[:, 2]
    x = (axis[None, None] - values[:, 0]) / radius
    y = (axis[None, :, None] - values[:, 1]) / radius
    x, y = torch.broadcast_tensors(x, y)
    cover, shade = torch.empty_like(x), torch.empty_like(x)
    for kind, shape in enumerate(SHAPES):
        rows = (kinds == kind).nonzero()[:, 0].to(device)
        if len(rows):
            u, v, scale = x[rows], y[rows], radius[rows] * size
            cover[rows] = (0.5 - _distance(shape, u, v) * scale).clamp(0, 1)
            near = _distance(shape, u - 0.05, v - 0.14)
            shade[rows] = 0.24 * (0.5 - near * 2.5).clamp(0, 1) ** 2
    # Lit from above: a little brighter at the top of each thing than at its foot.
    light = (1.0 - 0.10 * y.clamp(-1, 1))[:, None]
    ink = values[:, 3:6] * light
    owner = torch.tensor(owner, device=device)
    rank = torch.tensor(rank)
    for k in range(int(rank.max()) + 1):
        rows = (rank == k).nonzero()[:, 0].to(device)
        target = owner[rows]
        layer = picture[target] * (1 - shade[rows][:, None])
        picture[target] = torch.lerp(layer, ink[rows], cover[rows][:, None])
    return picture.clamp(0, 1) * 2 - 1


def draw(scene, size=64):
    """Draws one placed scene: uint8 array [size, size, 3]."""
    picture = draw_batch([scene], size)[0].permute(1, 2, 0)
    return ((picture + 1) * 127.5).round().byte().numpy()
