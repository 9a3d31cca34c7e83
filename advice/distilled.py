"""Rows of LoRAs and models made for a few steps that a person has to name.

They know their own noise levels, and no guidance.
"""

from __future__ import annotations

from .row import Row

_TRAILING = ("trailing", "sgm_uniform", "simple")

FAST = (
    *(Row(family, "lcm", "lcm_timesteps", (2, 8), (1, 2), "authors",
          "Luo et al. 2023, arXiv:2311.05556; LCM-LoRA model card: 2-8 steps, cfg 1-2", ("lcm",),
          (), _TRAILING)
      for family in ("sd15", "sdxl")),
    *(Row(family, "euler_ancestral", "sd_turbo", (1, 4), (1, 1), "authors",
          "Sauer et al. 2023, arXiv:2311.17042: 1-4 steps, no guidance; template "
          "sdxlturbo_example", ("turbo",), (), ("trailing",))
      for family in ("sd2", "sdxl")),
    Row("sdxl", "euler", "sdxl_lightning", (2, 8), (1, 1), "authors",
        "Lin et al. 2024, arXiv:2402.13929; model card: Euler, trailing, cfg 0 (here 1)",
        ("lightning",), (), _TRAILING),
    *(Row(family, "ddim", "hyper_sd", (1, 12), (1, 1), "authors",
          "Ren et al. 2024, arXiv:2404.13686; model card: DDIM, trailing, cfg 0 (here 1)",
          ("hyper",), (), _TRAILING)
      for family in ("sd15", "sdxl")),
    Row("sdxl", "lcm", "trailing", (4, 8), (1, 1), "authors",
        "Yin et al. 2024, arXiv:2405.14867; tianweiy/DMD2: LCM at timesteps 999, 749, 499, 249",
        ("dmd2",), (), ("sdxl_lightning", *_TRAILING)),
    Row("sd3", "euler", "normal", (4, 8), (1, 1), "authors",
        "Stability-AI/sd3.5 sd3_infer.py: large_turbo with euler, 4 steps, cfg 1", ("turbo",), (),
        _TRAILING),
    Row("flux", "euler", "simple", (4, 16), (1, 1), "convention",
        "8-step LoRAs of FLUX.1 dev: the base model's own schedule, fewer steps",
        ("turbo", "hyper", "lightning"), (), ("beta", "normal", "flux_shift", *_TRAILING)),
    Row("flux2", "euler", "flux2_turbo", (8, 8), (1, 1), "authors",
        "fal/FLUX.2-dev-Turbo model card: 8 steps at given sigmas; template image_flux2_fp8",
        ("turbo",), (), ("flux2",)),
    Row("qwen", "euler", "simple", (4, 8), (1, 1), "official",
        "image_qwen_image: Qwen-Image-Lightning, 8 steps, cfg 1; image_qwen_image_edit: 4 steps",
        ("lightning", "distilled"), (), ("beta", *_TRAILING)),
    Row("qwen", "euler", "simple", (2, 4), (1, 1), "official",
        "image_qwen_image_2512_with_2steps_lora: 2 steps, cfg 1", ("turbo",), (), _TRAILING),
    Row("qwen", "euler", "qwen_turbo", (8, 8), (1, 1), "official",
        "image_qwen_image_2_1_turbo_t2i: Qwen-Image 2.1 turbo, 8 steps at given sigmas",
        ("turbo",), (), ("simple",)),
    Row("anima", "euler", "simple", (4, 12), (1, 1), "official",
        "image_anima_base_v1: turbo LoRA, 8 steps, cfg 1", ("turbo", "distilled"), ("er_sde",)),
    Row("wan", "euler", "wan_lightning", (3, 10), (1, 1), "authors",
        "LightX2V-Wan2.2-Lightning, issue 3 (its authors): shift 5; templates video_wan2_2_14B_t2v "
        "(4 steps) and video_wan_vace_14B_t2v (6 steps)", ("lightning", "distilled"),
        ("uni_pc", "res_multistep", "er_sde", "lcm"), ("simple", "normal", "sgm_uniform")),
)
