"""The settings of A1111 webui 1.10.1 that decide how a run goes."""

from __future__ import annotations

from ..registry import Options, choice, option, option_set


@option_set
class Settings(Options):
    """A1111 1.10.1's settings of a run, with its defaults; 0 leaves a sigma or rho as it is.

    Its default noise source is the GPU, which NV imitates on any device.
    """

    noise: str = choice("nv", ("nv", "cpu"), "random number source; nv is what NVIDIA GPUs draw")
    eta: float = option(1.0, 0.0, 1.0, "Eta of the ancestral and SDE samplers")
    eta_ddim: float = option(0.0, 0.0, 1.0, "Eta of DDIM and DDIM CFG++")
    ensd: int = option(0, 0, 2**32, "ENSD, eta noise seed delta")
    variation_seed: int = option(0, 0, 2**64 - 1, "Variation seed")
    variation_strength: float = option(0.0, 0.0, 1.0, "Variation seed strength; 0 is none")
    fixed_steps: bool = option(
        False, help="img2img and hires pass: do exactly the number of steps, whatever denoise is"
    )
    discard_penultimate: bool = option(False, help="Always discard next-to-last sigma")
    sgm_noise_multiplier: bool = option(False, help="SGM noise multiplier: start as ComfyUI does")
    s_churn: float = option(0.0, 0.0, 100.0, "Sigma churn of Euler, Heun and DPM2")
    s_tmin: float = option(0.0, 0.0, 10.0, "Sigma tmin: no churn from a sigma below this")
    s_tmax: float = option(0.0, 0.0, 999.0, "Sigma tmax: no churn from above it; 0 is no limit")
    s_noise: float = option(1.0, 0.0, 1.1, "Sigma noise: multiplier of fresh noise")
    sigma_min: float = option(0.0, 0.0, 20000.0, "Schedule min sigma; 0 is the model's")
    sigma_max: float = option(0.0, 0.0, 20000.0, "Schedule max sigma; 0 is the model's")
    rho: float = option(0.0, 0.0, 100.0, "Schedule rho of Karras (7) and Polyexponential (1); 0")
    old_karras_sigmas: bool = option(False, help="Old karras scheduler sigmas: 0.1 to 10")
    beta_alpha: float = option(0.6, 0.05, 2.0, "Beta schedule alpha")
    beta_beta: float = option(0.6, 0.05, 2.0, "Beta schedule beta")
    unipc_variant: str = choice("bh1", ("bh1", "bh2"), "UniPC variant (its vary_coeff is not here)")
    unipc_skip: str = choice(
        "time_uniform", ("time_uniform", "time_quadratic", "logSNR"), "UniPC skip type"
    )
    unipc_order: int = option(3, 1, 4, "UniPC order")
    unipc_lower_order_final: bool = option(True, help="UniPC lower order final")
    noise_multiplier: float = option(1.0, 0.0, 1.5, "Noise multiplier for img2img")
    extra_noise: float = option(0.0, 0.0, 1.0, "Extra noise multiplier for img2img and hires fix")
    resize_from_width: int = option(0, 0, 16384, "Seed resize from width in pixels; 0 is none")
    resize_from_height: int = option(0, 0, 16384, "Seed resize from height in pixels; 0 is none")
    quantize: bool = option(
        False, help="Quantization in K samplers: the model gets whole timesteps, as in ComfyUI"
    )


DEFAULT = Settings()
