"""Our advice beside ComfyUI's own workflows: `python3 dev.py advice`.

Reads the template packages of the host's Python, those of the pinned frontend, and says where
``automatic`` takes another pair than they do, and which of their settings would be warned of.
`--record` adds what is found to tests/golden/template_settings.json, with which a test and
docs/compatibility.md are made. FOLDER: a further site-packages folder to look for them in.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import templates

REPO = Path(__file__).resolve().parent.parent
RECORD = REPO / "tests" / "golden" / "template_settings.json"

# What a model's file is called, the first that is found in it: (pattern, family, distilled).
# A family "" is a model that hosts up to 0.33 do not have.
FILES = (
    (r"flux3|qwen_image_2\.1_int8|fibo2|ming_image|moss_image|yue2|pixal3d", "", ""),
    (r"qwen_image_2\.1_turbo", "qwen", "turbo"),
    (r"wan_animate_2_distill", "wan", "distilled"),
    (r"^wan|^humo|chrono_edit", "wan", ""),
    (r"flux-2-klein-(?!base)", "flux2", "distilled"), (r"flux-?2", "flux2", ""),
    (r"flux1-schnell", "flux_schnell", ""), (r"^pid_", "pid", ""), (r"^flux", "flux", ""),
    (r"ovis", "ovis", ""), (r"radiance", "chroma_radiance", ""), (r"chroma", "chroma", ""),
    (r"qwen|firered", "qwen", ""), (r"z_image_turbo", "z_image", "turbo"),
    (r"z_image", "z_image", ""), (r"netayume|newbie", "lumina2", ""),
    (r"hidream_i1_(dev|fast)", "hidream", "distilled"),
    (r"hidream_o1_image_dev", "hidream_o1", "distilled"), (r"hidream_o1", "hidream_o1", ""),
    (r"hidream", "hidream", ""), (r"omnigen2", "omnigen2", ""),
    (r"boogu_image_turbo", "boogu", "turbo"), (r"boogu", "boogu", ""),
    (r"ernie-image-turbo", "ernie", "turbo"), (r"ernie", "ernie", ""),
    (r"krea2_turbo", "krea2", "turbo"), (r"lens_turbo", "lens", "turbo"), (r"lens_", "lens", ""),
    (r"longcat", "longcat", ""), (r"mage_flow_(edit_)?turbo", "mage_flow", "turbo"),
    (r"mage_flow", "mage_flow", ""), (r"joyai", "joyimage", ""), (r"ideogram4", "ideogram4", ""),
    (r"kandinsky5lite_t2i", "kandinsky5_image", ""), (r"kandinsky5", "kandinsky5", ""),
    (r"anima", "anima", ""), (r"pixeldit", "pixeldit", ""), (r"seedvr2", "seedvr2", ""),
    (r"ltx.*distilled", "ltxv", "distilled"), (r"ltx", "ltxv", ""), (r"mochi", "mochi", ""),
    (r"hunyuanvideo1\.5|capybara", "hunyuan_video15", ""),
    (r"hunyuan_video", "hunyuan_video", ""), (r"hunyuan_?3d", "hunyuan3d", ""),
    (r"fasth3", "minimax_h3", "turbo"), (r"minimax_h3", "minimax_h3", ""),
    (r"minimax_music3", "minimax_music3", ""), (r"triposplat", "triposplat", ""),
    (r"trellis_2", "trellis2", ""), (r"stable_audio_3_medium_base", "stable_audio3", ""),
    (r"stable_audio_3", "stable_audio3", "distilled"), (r"stable-audio", "stable_audio", ""),
    (r"ace_?step.*1\.5.*turbo", "ace_step15", "turbo"), (r"acestep_v1\.5", "ace_step15", ""),
    (r"ace_step", "ace_step", ""), (r"svd", "svd", ""), (r"lotus", "lotus", ""),
    (r"sd_xl_turbo", "sdxl", "turbo"), (r"sd_xl_refiner", "sdxl_refiner", ""),
    (r"sd_xl", "sdxl", ""), (r"sd3\.5", "sd3", ""), (r"512-inpainting|v2-1", "sd2", ""),
    (r"v1-5|dreamshaper|realmix|awpainting|interiordesign|japanesestyle|majicmix", "sd15", ""),
)
# What a LoRA for a few steps is called.
LORAS = (
    (r"lightning|lightx2v|causvid", "lightning"), (r"turbo", "turbo"), (r"distill", "distilled"),
)


def known_as(setting):
    """(family, distilled) of a setting; None for a model that the table lacks."""
    for pattern, family, form in FILES:
        if re.search(pattern, setting.model, re.IGNORECASE):
            for lora in setting.loras if family and not form else ():
                if found := next((f for p, f in LORAS if re.search(p, lora, re.IGNORECASE)), ""):
                    return family, found
            return family, form
    return None


def records(stride, folders):
    """({a setting, as ``recorded`` has it: its workflows}, {what could not be placed: one}).

    The steps are those of the whole schedule of which a low denoise runs the end.
    """
    found, left = {}, {}
    for setting in templates.settings(folders):
        place = known_as(setting)
        schedule = by_levels(stride, setting) if setting.levels else setting.schedule
        if place is None or not place[0] or schedule is None:
            left.setdefault(f"{setting.model}, {schedule}", setting.template)
            continue
        key = (
            *place, int(setting.steps / setting.denoise), setting.cfg,
            stride.samplers.get(setting.sampler).name, stride.schedules.get(schedule).name,
        )
        found.setdefault(key, set()).add(setting.template)
    return found, left


def by_levels(stride, setting):
    """The schedule whose levels were typed by hand, or None."""
    spec = stride.schedules.ModelSpec.flow()
    for name in ("linear_quadratic", "qwen_turbo"):
        entry = stride.schedules.get(name)
        if entry.counts and setting.steps not in entry.counts:
            continue
        levels = entry.sigmas(spec, setting.steps).tolist()
        if all(abs(a - b) < 1e-4 for a, b in zip(levels, setting.levels)):
            return name
    return None


def recorded():
    """{(family, distilled, steps, cfg, sampler, schedule): names of workflows}."""
    rows = json.loads(RECORD.read_text(encoding="ascii"))["settings"]
    return {tuple(row[:-1]): set(row[-1]) for row in rows}


def sources():
    """The packages that the record was read from."""
    return json.loads(RECORD.read_text(encoding="ascii"))["from"]


def record(found, read):
    """Write the rows, one a line, with those that were there."""
    for key, names in recorded().items():
        found.setdefault(key, set()).update(names)
    rows = [json.dumps([*key, sorted(names)]) for key, names in sorted(found.items())]
    told = json.dumps(sorted({*sources(), *read}))
    fields = json.dumps(["family", "distilled", "steps", "cfg", "sampler", "schedule", "workflows"])
    body = ",\n".join(rows)
    text = f'{{"from": {told},\n"fields": {fields},\n"settings": [\n{body}\n]}}\n'
    RECORD.write_text(text, encoding="ascii")


# Of the recorded families: those that are no flow models, and those with guidance as an input.
VE = ("sd15", "sd2", "sdxl", "sdxl_refiner", "lotus", "svd", "stable_audio")
GUIDED = ("flux", "hunyuan_video")


def model_of(stride, family):
    """What advice is asked of for a family."""
    return stride.advice.Model(family, family not in VE, 14.6, family in GUIDED)


def differences(stride, found):
    """[(family, distilled, their settings, our row)] where ours is no workflow's pair."""
    rows = {}
    for (family, form), group in by_form(found).items():
        pairs = {key[4:] for key in group}
        for key in sorted(group):
            row = stride.advice.choose(model_of(stride, family), key[2], key[3], form).row
            if (row.sampler, row.schedule) not in pairs:
                rows.setdefault((family, form, row), []).append(key[2:])
    return [(family, form, theirs, row) for (family, form, row), theirs in rows.items()]


def by_form(found):
    """{(family, distilled): its rows}."""
    groups = {}
    for key in found:
        groups.setdefault(key[:2], []).append(key)
    return groups


def warned(stride, key):
    """What is warned of a workflow's setting, with its distillation named and without."""
    family, form, steps, cfg, sampler, schedule = key
    return [
        said for named in dict.fromkeys((form, ""))
        for said in stride.advice.warnings(stride.advice.Run(
            model_of(stride, family), steps, cfg, sampler, schedule, named,
            getattr(stride.samplers.get(sampler).options, "order", 1),
        ))
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="further folders to read")
    parser.add_argument("--record", action="store_true", help="add to the recorded settings")
    options = parser.parse_args()
    sys.path.insert(0, str(REPO / "benchmarks"))
    from hostside import load_pack

    stride, packages = load_pack(), templates.packages(options.folders)
    if not packages:
        print("no comfyui_workflow_templates package with workflows is installed")
        return
    found, left = records(stride, [folder for _, folder in packages])
    workflows = len({name for names in found.values() for name in names})
    print(f"{len(found)} settings of {workflows} workflows")
    print("\nanother pair than any workflow of that model and form:")
    for family, form, theirs, row in differences(stride, found):
        print(f"  {family} {form}: ours is {row.sampler} on {row.schedule} ({row.grade}), theirs")
        for steps, cfg, *pair in theirs:
            print(f"    {' on '.join(pair)}, {steps} steps, cfg {cfg:g}")
    print("\nwarned of:")
    for key in sorted(found):
        for said in warned(stride, key):
            print(" ", *key, "|", said)
    print("\nnot placed:")
    for model, template in sorted(left.items()):
        print(" ", model, "|", template)
    if options.record:
        record(found, [name for name, _ in packages])


if __name__ == "__main__":
    main()
