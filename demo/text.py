"""Word tokenizer for the scene captions.

Every word of the vocabulary is one token; case and punctuation do not matter. Words that carry no
meaning here ("the", "of") are dropped, words outside the vocabulary are dropped too and can be
listed with `unknown_words` so that the caller can name them to the user.
"""

import re

LENGTH = 20  # tokens per prompt, padding included
PAD = 0

VOCABULARY = (
    "<pad>",
    "one", "two", "three",
    "small", "large",
    "red", "orange", "yellow", "green", "blue", "purple", "white", "black",
    "circle", "square", "triangle", "ring",
    "circles", "squares", "triangles", "rings",
    "above", "below", "left", "right", "beside", "and",
    "on", "background",
)  # fmt: skip
INDEX = {word: index for index, word in enumerate(VOCABULARY)}

SYNONYMS = {
    "a": "one", "an": "one", "single": "one", "1": "one", "2": "two", "3": "three",
    "pair": "two", "couple": "two",
    "little": "small", "tiny": "small", "big": "large", "huge": "large", "giant": "large",
    "crimson": "red", "scarlet": "red", "golden": "yellow", "gold": "yellow", "violet": "purple",
    "disc": "circle", "disk": "circle", "ball": "circle", "sun": "circle", "dot": "circle",
    "discs": "circles", "disks": "circles", "balls": "circles", "suns": "circles",
    "dots": "circles", "box": "square", "boxes": "squares", "donut": "ring", "donuts": "rings",
    "hoop": "ring", "hoops": "rings",
    "over": "above", "under": "below", "beneath": "below", "underneath": "below",
    "by": "beside", "near": "beside", "next": "beside", "alongside": "beside",
    "backdrop": "background", "field": "background", "sky": "background", "ground": "background",
    "wall": "background", "sea": "background",
}  # fmt: skip

FILLERS = frozenset(
    "the of to is are there with at in it its some picture image drawing painting scene".split()
)


def split(text):
    """The lower-case words of a text, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def words(text):
    """The text as vocabulary words: synonyms resolved, fillers and unknown words dropped."""
    known = (SYNONYMS.get(word, word) for word in split(text))
    return [word for word in known if word in INDEX]


def unknown_words(text):
    """The words of the text that the network never learnt, each once, in their order."""
    strange = [
        word
        for word in split(text)
        if word not in INDEX and word not in SYNONYMS and word not in FILLERS
    ]
    return list(dict.fromkeys(strange))


def tokenize_weighted(parts):
    """Tokens of (text, weight) pairs: LENGTH pairs (token, weight), cut or padded with PAD."""
    pairs = [(INDEX[word], weight) for text, weight in parts for word in words(text)][:LENGTH]
    return pairs + [(PAD, 1.0)] * (LENGTH - len(pairs))


def tokenize(text):
    """LENGTH token numbers of a text, cut or padded with PAD; an empty text is all PAD."""
    return [token for token, _ in tokenize_weighted([(text, 1.0)])]
