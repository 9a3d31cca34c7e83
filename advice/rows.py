"""What is known to work, one row for each family of models, range of steps and distillation.

Grades of a source:

* measured: our own benchmark; the source names the command and the page.
* authors: the model's or the method's authors, in a paper, a model card or their code.
* convention: what is in common use; the source names a place where it can be seen. "template" is
  a workflow of ComfyUI's template browser (comfyui_workflow_templates 0.7.25), "diffusers" the
  defaults of the pipeline of that name in diffusers 0.42.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What a person calls each family. The last three stand for models that no row knows.
FAMILIES = {
    "sd15": "SD1.5", "sd15_inpaint": "SD1.5 inpainting", "sd2": "SD2", "sdxl": "SDXL",
    "svd": "SVD", "sd3": "SD3.5", "flux": "Flux", "flux_schnell": "Flux schnell",
    "flux2": "Flux 2", "chroma": "Chroma", "qwen": "Qwen-Image", "z_image": "Z-Image",
    "lumina2": "Lumina 2", "hidream": "HiDream", "aura_flow": "AuraFlow", "pixart": "PixArt",
    "omnigen2": "OmniGen 2", "wan": "Wan", "hunyuan_video": "HunyuanVideo",
    "hunyuan_video15": "HunyuanVideo 1.5", "ltxv": "LTX-Video", "mochi": "Mochi",
    "cosmos": "Cosmos 1", "cosmos2": "Cosmos 2", "stable_audio": "Stable Audio",
    "ace_step": "ACE-Step",
    "zsnr": "a zero-terminal-SNR model", "ve": "a VE model", "flow": "a flow model",
}
UNKNOWN = ("ve", "flow")
# Kinds of distillation that a person can name; a LoRA leaves no trace that could be read.
DISTILLED = ("lcm", "turbo", "lightning", "hyper", "dmd2", "distilled")
# Schedules that only such models have: choosing one says what was loaded.
PRESETS = {
    "lcm_timesteps": "lcm", "sd_turbo": "turbo", "sdxl_lightning": "lightning",
    "hyper_sd": "hyper", "flux2_turbo": "turbo", "wan_lightning": "lightning",
}
# A VE model whose noise goes further than this is a zero-terminal-SNR one; SVD ends at 700.
WIDE = 1000.0

Grade = Literal["measured", "authors", "convention"]


@dataclass(frozen=True)
class Model:
    """What advice has to know of a model.

    family: a key of FAMILIES, "" where it is not known. flow: rectified flow, not VE. sigma_max:
    its largest noise level. guided: its guidance was distilled into it, as an input of its own.
    shift: the time shift of a flow model.
    """

    family: str
    flow: bool
    sigma_max: float
    guided: bool = False
    shift: float = 1.0

    @property
    def kind(self) -> str:
        """The family whose rows count."""
        if not self.flow and self.sigma_max > WIDE:
            return "zsnr"
        return self.family or ("flow" if self.flow else "ve")


@dataclass(frozen=True)
class Row:
    """A sampler and a schedule for a family, and where both are good.

    steps, cfg: lowest and highest. distilled: one of DISTILLED, "" for the model itself. also:
    further schedules that reach the same noise levels, or nearly.
    """

    family: str
    sampler: str
    schedule: str
    steps: tuple[int, int]
    cfg: tuple[float, float]
    grade: Grade
    source: str
    distilled: str = ""
    also: tuple[str, ...] = ()


_ACCURACY = "`dev.py bench accuracy`, docs/accuracy.md, 'mixture, CFG 4 and 7.5, eps', 8-10 calls"
_ANY = (1, 10_000)
_CFG = (1.0, 100.0)
_TRAILING = ("trailing", "sgm_uniform", "simple")

ROWS = (
    Row("sd15", "adams_2", "karras", (6, 11), (2, 9), "measured", _ACCURACY),
    Row("sd15", "dpmpp_2m", "karras", (12, 40), (5, 9), "convention",
        "template lora: dpmpp_2m, karras, 30 steps, cfg 7"),
    Row("sd15", "ddim", "ddim_uniform", (41, 250), (5, 9), "authors",
        "CompVis/stable-diffusion scripts/txt2img.py: DDIM, 50 steps, scale 7.5"),
    Row("sd15_inpaint", "ddim", "ddim_uniform", (15, 50), (5, 9), "authors",
        "runwayml/stable-diffusion scripts/inpaint_st.py: DDIM, at most 50 steps, scale 7.5"),
    Row("sd2", "dpmpp_2m", "karras", (15, 50), (5, 9), "authors",
        "stabilityai/stable-diffusion-2-1 model card: DPMSolverMultistepScheduler; karras is "
        "convention"),
    Row("sdxl", "adams_2", "karras", (6, 11), (2, 9), "measured", _ACCURACY),
    Row("sdxl", "dpmpp_2m", "karras", (12, 60), (7, 9), "convention",
        "templates of SDXL: 25 steps, cfg 8; diffusers: 50 steps, cfg 5"),
    Row("zsnr", "dpmpp_2m", "beta", (20, 50), (3, 7), "measured",
        "`dev.py bench advice`, docs/accuracy.md, 'What the warnings are about'"),
    Row("svd", "euler", "karras", (20, 30), (1, 3), "convention",
        "template image_to_video: euler, karras, 20 steps, cfg 2.5; diffusers: 25 steps, cfg 1-3"),
    Row("sd3", "dpmpp_2m", "normal", (20, 60), (4, 7), "authors",
        "Stability-AI/sd3.5 sd3_infer.py: dpmpp_2m, 40-50 steps, cfg 4.5-5; 7 works"),
    Row("flux", "euler", "simple", (15, 60), (1, 1), "authors",
        "black-forest-labs/flux cli.py: Euler, 50 steps, guidance 3.5; template flux_dev: simple, "
        "20 steps, cfg 1"),
    Row("flux_schnell", "euler", "flux_schnell", (1, 4), (1, 1), "authors",
        "black-forest-labs/flux cli.py: 4 steps, no shift, no guidance", "", _TRAILING),
    Row("flux2", "euler", "flux2", (15, 60), (1, 1), "convention",
        "template image_flux2: euler, Flux2Scheduler, 20 steps, guidance 4; diffusers: 50 steps"),
    Row("chroma", "euler", "beta", (20, 50), (3, 5), "convention",
        "template image_chroma_text_to_image: 26 steps, cfg 3.5; diffusers: 35 steps, cfg 5"),
    Row("qwen", "euler", "simple", (15, 60), (2.5, 4), "authors",
        "QwenLM/Qwen-Image README: 50 steps, cfg 4; template image_qwen_image: 20 steps, cfg 2.5"),
    Row("z_image", "res_multistep", "simple", (6, 12), (1, 1), "convention",
        "template image_z_image_turbo: 9 steps, cfg 1"),
    Row("z_image", "euler", "simple", (20, 60), (3, 5), "convention",
        "diffusers ZImagePipeline: Euler, 50 steps, cfg 5"),
    Row("lumina2", "res_multistep", "simple", (20, 50), (3, 5), "convention",
        "template image_netayume_lumina_t2i: 30 steps, cfg 4, as in diffusers"),
    Row("hidream", "uni_pc", "simple", (25, 60), (3, 6), "convention",
        "template hidream_i1_full: 50 steps, cfg 5, as in diffusers"),
    Row("hidream", "lcm", "normal", (14, 30), (1, 1), "convention",
        "templates hidream_i1_dev (28 steps) and hidream_i1_fast (16 steps), cfg 1"),
    Row("aura_flow", "euler", "simple", (20, 60), (3, 4.5), "convention",
        "diffusers AuraFlowPipeline: Euler, 50 steps, cfg 3.5"),
    Row("pixart", "dpmpp_2m", "karras", (14, 30), (3, 6), "convention",
        "diffusers PixArtSigmaPipeline: DPM-Solver, 20 steps, cfg 4.5"),
    Row("omnigen2", "euler", "simple", (20, 50), (2.5, 6), "convention",
        "template image_omnigen2_t2i: euler, simple, 20 steps"),
    Row("wan", "uni_pc", "simple", (20, 60), (3, 6), "authors",
        "Wan-Video/Wan2.1 generate.py: UniPC, 50 or 40 steps, scale 5; template "
        "text_to_video_wan: simple, 30 steps, cfg 6"),
    Row("hunyuan_video", "euler", "simple", (20, 60), (1, 1), "authors",
        "Tencent-Hunyuan/HunyuanVideo README: 50 steps, embedded cfg 6; template: euler, simple"),
    Row("hunyuan_video15", "euler", "simple", (20, 60), (4, 7), "convention",
        "template video_hunyuan_video_1.5_720p_t2v: 20 steps, cfg 6"),
    Row("ltxv", "euler", "ltxv", (20, 60), (2.5, 4), "convention",
        "template ltxv_text_to_video: euler, LTXVScheduler, 30 steps, cfg 3"),
    Row("mochi", "euler", "linear_quadratic", (30, 100), (3, 6), "authors",
        "genmoai/models infer.py: linear-quadratic, 64 steps, cfg 4.5, as in diffusers"),
    Row("cosmos", "euler", "edm", (20, 50), (5, 8), "convention",
        "diffusers CosmosTextToWorldPipeline: EDM noise, Euler, 36 steps, cfg 7"),
    Row("cosmos2", "euler", "edm", (20, 50), (4, 8), "convention",
        "diffusers Cosmos2TextToImagePipeline: EDM noise, Euler, 35 steps, cfg 7"),
    Row("stable_audio", "dpmpp_3m_sde", "exponential", (40, 120), (4, 8), "convention",
        "template audio_stable_audio_example: 50 steps, cfg 4.98; diffusers: 100 steps, cfg 7"),
    Row("ace_step", "euler", "simple", (25, 80), (3, 7), "convention",
        "template audio_ace_step_1_t2a_song: 50 steps, cfg 5"),
    # Models that no row knows: the two pairs that are in widest use on their process.
    Row("ve", "dpmpp_2m", "karras", _ANY, _CFG, "convention", "as for SD1.5 and SDXL"),
    Row("flow", "euler", "simple", _ANY, _CFG, "convention", "as for Flux and most flow models"),
    # Distilled for a few steps. They know their own noise levels, and no guidance.
    *(Row(family, "lcm", "lcm_timesteps", (2, 8), (1, 2), "authors",
          "Luo et al. 2023, arXiv:2311.05556; LCM-LoRA model card: 2-8 steps, cfg 1-2", "lcm",
          _TRAILING)
      for family in ("sd15", "sdxl")),
    *(Row(family, "euler_ancestral", "sd_turbo", (1, 4), (1, 1), "authors",
          "Sauer et al. 2023, arXiv:2311.17042: 1-4 steps, no guidance; template "
          "sdxlturbo_example: euler_ancestral, SDTurboScheduler", "turbo")
      for family in ("sd2", "sdxl")),
    Row("sdxl", "euler", "sdxl_lightning", (2, 8), (1, 1), "authors",
        "Lin et al. 2024, arXiv:2402.13929; model card: Euler, trailing, cfg 0 (here 1)",
        "lightning", _TRAILING),
    *(Row(family, "ddim", "hyper_sd", (1, 12), (1, 1), "authors",
          "Ren et al. 2024, arXiv:2404.13686; model card: DDIM, trailing, cfg 0 (here 1)", "hyper",
          _TRAILING)
      for family in ("sd15", "sdxl")),
    Row("sdxl", "lcm", "trailing", (4, 8), (1, 1), "authors",
        "Yin et al. 2024, arXiv:2405.14867; tianweiy/DMD2: LCM at timesteps 999, 749, 499, 249",
        "dmd2", ("sdxl_lightning", *_TRAILING)),
    Row("sd3", "euler", "normal", (4, 8), (1, 1), "authors",
        "Stability-AI/sd3.5 sd3_infer.py: large_turbo with euler, 4 steps, cfg 1", "turbo",
        _TRAILING),
    *(Row("flux", "euler", "simple", (4, 16), (1, 1), "convention",
          "8-step LoRAs of FLUX.1 dev: the base model's own schedule, fewer steps", kind,
          ("beta", "normal", "flux_shift", *_TRAILING))
      for kind in ("turbo", "hyper", "lightning")),
    Row("flux2", "euler", "flux2_turbo", (8, 8), (1, 1), "authors",
        "fal/FLUX.2-dev-Turbo model card: 8 steps at given sigmas", "turbo"),
    Row("qwen", "euler", "simple", (4, 8), (1, 1), "convention",
        "template image_qwen_image_edit: Qwen-Image-Lightning, 4 steps, cfg 1, shift 3",
        "lightning", _TRAILING),
    Row("z_image", "res_multistep", "simple", (6, 12), (1, 1), "convention",
        "template image_z_image_turbo: 9 steps, cfg 1", "turbo", _TRAILING),
    *(Row("hidream", "lcm", "normal", (14, 30), (1, 1), "convention",
          "templates hidream_i1_dev (28 steps) and hidream_i1_fast (16 steps), cfg 1", kind,
          _TRAILING)
      for kind in ("turbo", "distilled")),
    *(Row("wan", "euler", "wan_lightning", (4, 8), (1, 1), "authors",
          "LightX2V-Wan2.2-Lightning, issue 3 (its authors); template video_wan2_2_14B_t2v: euler, "
          "4 steps, cfg 1", kind)
      for kind in ("lightning", "distilled")),
    Row("ltxv", "euler", "simple", (4, 10), (1, 1), "authors",
        "Lightricks/LTX-Video README, 0.9.6 distilled: 8 steps, no guidance; the schedule is "
        "convention", "distilled", ("ltxv", *_TRAILING)),
)
