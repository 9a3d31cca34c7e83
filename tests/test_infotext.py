"""A1111's generation text, against what A1111 1.10.1 makes of it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stride.a1111 import infotext
from stride.a1111.emphasis import uses_emphasis

GOLDEN = json.loads((Path(__file__).parent / "golden" / "a1111_infotext.json").read_text())
# A1111's own expressions, as recorded: what the scanner has to find, slowly.
RE_PARAM = re.compile(GOLDEN["param_regex"])
RE_SIZE = re.compile(GOLDEN["imagesize_regex"])
AWKWARD = st.text(alphabet='aB9_ -/:,"\\\t\u00e9\u4e2d\r', max_size=40)
LINE = st.text(alphabet=st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
KEY = st.text(alphabet="Ab9\u00e9 -/", max_size=9).map(lambda rest: f"K{rest}x")


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["text"][:20])
def test_texts_are_read_as_a1111_reads_them(case):
    assert infotext.parse(case["text"]) == case["parsed"]
    assert case["parsed"].items() >= {
        k: v for k, v in infotext.read(case["text"]).items() if not k.startswith("Size")
    }.items()


@pytest.mark.parametrize("case", GOLDEN["quote"], ids=lambda case: repr(case["in"]))
def test_quotes_are_a1111s(case):
    assert infotext.quote(case["in"]) == case["out"]
    assert infotext.unquote(str(case["out"])) == case["unquote_of_out"]


@pytest.mark.parametrize("case", GOLDEN["findall"], ids=lambda case: case["line"][:12])
def test_parameters_of_the_recorded_lines(case):
    assert [list(pair) for pair in infotext.parameters(case["line"])] == case["out"]


@given(AWKWARD | LINE | st.lists(AWKWARD, max_size=6).map('Steps: 1, a:"'.join))
def test_the_scanner_finds_what_a1111s_expression_finds(line):
    assert list(infotext.parameters(line)) == RE_PARAM.findall(line)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_was_quoted_is_unquoted(text):
    shown = infotext.quote(text)
    if shown != text:  # a bare value that looks quoted is A1111's own ambiguity
        assert infotext.unquote(shown) == text
        assert "\n" not in shown


def as_a1111_would(text):
    """The values of a text by A1111's expressions alone."""
    pairs = RE_PARAM.findall(text.strip().split("\n")[-1])
    return {key: infotext.unquote(value) for key, value in pairs}


VALUES = st.dictionaries(KEY, AWKWARD | LINE, min_size=3, max_size=8)


@example("", "", {"Kx": '"', "Ky": ",", "Kz": ""})  # a quote that a later value would close
@settings(max_examples=300)
@given(LINE, LINE, VALUES)
def test_what_was_written_is_read(prompt, negative, values):
    prompt, negative = prompt.strip(), negative.strip()
    if prompt.startswith(infotext.NEGATIVE) or negative.startswith(infotext.NEGATIVE):
        return
    values = {k: v for k, v in values.items() if not RE_SIZE.match(v)}
    if len(values) < infotext.LEAST:
        return
    text = infotext.write(prompt, negative, values)
    expected = {"Prompt": prompt, "Negative prompt": negative, **values}
    assert infotext.read(text) == expected
    assert as_a1111_would(text) == values


def test_the_order_is_a1111s():
    values = {"Version": "v1.10.1", "Eta": 0.5, "Size": "512x768", "Seed": 3, "Steps": 20,
              "Sampler": "Euler a", "Model": None, "Lora hashes": "a: 1, b: 2"}  # fmt: skip
    assert infotext.write("cat", "", values) == (
        "cat\nSteps: 20, Sampler: Euler a, Seed: 3, Size: 512x768, Eta: 0.5, "
        'Lora hashes: "a: 1, b: 2", Version: v1.10.1'
    )
    read = infotext.read(infotext.write("cat", "dog", values))
    assert (read["Size-1"], read["Size-2"]) == ("512", "768")


@pytest.mark.parametrize("values, said", [
    ({"Steps": 1, "Seed": 2}, "at least 3"), ({"a": 1, "bb": 2, "cc": 3}, "'a' is no key"),
    ({"a:b": 1, "bb": 2, "cc": 3}, "'a:b' is no key"),
])  # fmt: skip
def test_what_could_not_be_read_back_is_not_written(values, said):
    with pytest.raises(ValueError, match=said):
        infotext.write("cat", "", values)


@pytest.mark.parametrize("prompt, used", [
    ("a cat", False), ("(a:1.2)", True), ("(a:1.0)", False), ("((a))", True), ("[a]", True),
    (r"\(a\)", False), ("()", False), ("(a", True), ("a)", False), ("a: 1.3)", False),
    ("(a BREAK b)", True), ("a BREAK b", False), ("(a:1.2.3)", True),
])  # fmt: skip
def test_emphasis(prompt, used):
    """A part of the prompt with another weight than 1, by the syntax that A1111 documents."""
    assert uses_emphasis(prompt) == used
    assert ("Emphasis" in infotext.parse(f"{prompt}\nSteps: 1, Seed: 2, Size: 8x8")) == used


@pytest.mark.parametrize("older, newer", [
    ("1.5.2", "v1.6.0"), ("v1.6.0-RC-12-gabcdef", "v1.6.0"), ("v1.7.0", "v1.7.0-225-gabc1234"),
    ("v1.7.0-224-gabc", "v1.7.0-225"), ("1.9.4", "1.10.1"), ("1.8.0.dev1", "1.8.0"),
    ("1.8.0a1", "1.8.0rc1"),
])  # fmt: skip
def test_versions_are_ordered(older, newer):
    assert infotext.version_key(older) < infotext.version_key(newer)


@pytest.mark.parametrize("version", ["", "ComfyUI", "f2.0.1v1.10.1-previous-1-gabc", "1" * 10**6])
def test_a_version_that_is_none_switches_nothing(version):
    text = f"[a]\nSteps: 1, Sampler: DDIM, Seed: 2, Version: {version or 'x'}"
    assert "Downcast alphas_cumprod" not in infotext.parse(text)


def test_switches_for_older_releases():
    text = "a [cat:dog:0.5]\nSteps: 1, Sampler: {}, Seed: 2, Refiner: x, Version: {}"

    def switched(*values):
        keys = ("Old prompt editing timelines", "Pad conds v0", "Downcast alphas_cumprod",
                "Refiner switch by sampling steps")  # fmt: skip
        parsed = infotext.parse(text.format(*values))
        return [parsed.get(key, False) for key in keys]

    assert switched("DDIM", "v1.5.2") == [True, True, True, True]
    assert switched("Euler", "v1.6.0") == [False, False, True, True]
    assert switched("DDIM", "v1.7.0-300-gabc") == [False, False, False, True]
    assert switched("DDIM", "v1.10.1") == [False, False, False, False]


def test_an_old_automatic_first_pass():
    """0x0 chose sides of about 512 x 512 pixels in all, whole multiples of 64."""
    text = "p\nSteps: 20, Seed: 1, Size: 1024x512, First pass size: 0x0"
    parsed = infotext.parse(text)
    assert (parsed["Size-1"], parsed["Size-2"]) == (768, 384)
    assert (parsed["Hires resize-1"], parsed["Hires resize-2"]) == (1024, 512)


MILLION = 10**6
HOSTILE = {
    "one word": "'a' * n", "spaces": "'a' + ' ' * n + 'a'", "commas": "',' * n",
    "backslashes": r"'Steps: \"' + '\\' * n", "quotes": "'Steps: ' + chr(34) * n",
    "open strings": "'Steps: 1, Seed: 2, ' + 'ab:' + chr(34) + 'x, ab:y, ' * (n // 9)",
    "escaped quotes": r"'Steps: ' + '\"\\' * (n // 2)",
    "keys without an end": "'ab:' * (n // 3)", "digits": "'Steps: 1, Seed: 2, Size: ' + '9' * n",
    "huge sizes": "'Steps: 1, Seed: 2, First pass size: ' + '9' * n + 'x' + '9' * 9",
    "lines": r"'a\n' * (n // 2)", "brackets": "'(a' * (n // 2)", "squares": "'[' * n + ']' * n",
    "weights": "'(:' + ' ' * n + '1' * n", "colons": "':' * n",
    "nested quotes": "'Steps: 1, Seed: 2, Lora hashes: ' + '{}' * (n // 2)",
    "versions": "'Steps: 1, Seed: 2, Version: v' + '1.' * (n // 2)",
    "binary": "bytes(range(256)).decode('latin-1') * (n // 256)",
}  # fmt: skip


@pytest.mark.slow
def test_no_text_hangs_the_reader():
    """A megabyte of each; what takes quadratic time would take hours."""
    folder = str(Path(infotext.__file__).parent)
    program = "\n".join([
        "import sys, types", "package = types.ModuleType('texts')",  # no torch: it starts at once
        f"package.__path__ = [{folder!r}]", "sys.modules['texts'] = package",
        "from texts import infotext", f"n = {MILLION}",
        *(f"infotext.parse({text})" for text in HOSTILE.values()), "print('read')",
    ])  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240
    )
    assert done.stdout.strip() == "read", done.stderr[-2000:]
