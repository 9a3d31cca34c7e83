"""``noise`` = ``host``: our samplers on the host's stream beside the host's functions, by name.

From below sigma 1 they are one picture. From 1 of a flow model the host moves that level down,
which is told in README; the draws must be the same ones there as well.
"""

import pytest
import torch
from host_models import Denoiser, models
from stride import samplers, schedules

pytestmark = pytest.mark.host

EXACT = ["euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde",
         "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "lcm", "er_sde", "seeds_2", "seeds_3",
         "sa_solver", "sa_solver_pece", "exp_heun_2_x0_sde"]  # fmt: skip
VE_ONLY = ["ddpm", "res_multistep_ancestral"]  # on flow theirs is another formula, see README


class Counted:
    """The host's stream, its draws counted."""

    def __init__(self, stream):
        self.stream, self.draws = stream, 0

    def __call__(self, *levels):
        self.draws += 1
        return self.stream(*levels)


@pytest.fixture
def pair(comfy, monkeypatch):
    """(name, model, first level) -> (the host's latent and draws, ours and its draws)."""
    from stride.host.run.ours import HostRun

    made = []
    kinds = {kind: getattr(comfy.k_diffusion, kind)
             for kind in ("default_noise_sampler", "BrownianTreeNoiseSampler")}
    for kind, make in kinds.items():
        monkeypatch.setattr(comfy.k_diffusion, kind, lambda *a, _make=make, **k: made.append(
            Counted(_make(*a, **k))) or made[-1])  # fmt: skip

    def run(name, kind, first=0, steps=12, **options):
        function = getattr(comfy.k_diffusion, f"sample_{name}", None)
        if function is None:
            pytest.skip(f"this host has no {name}")
        sampling, spec = models(comfy)[kind]
        sigmas = schedules.get("karras" if kind == "sd" else "simple").sigmas(spec, steps)[first:]
        x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * sigmas[0]
        model, entry = Denoiser(sampling), samplers.get(name)
        ours = HostRun(entry, entry.configure(noise="host", **options))
        found = []
        for sample in (function, ours):
            end = sample(model, x.clone(), sigmas, extra_args={"seed": 3}, disable=True)
            found += [end, made[-1].draws]
        return found

    return run


@pytest.mark.parametrize("name, kind, first", [
    *((name, kind, first) for name in EXACT for kind, first in (("sd", 0), ("flow", 3))),
    *((name, "sd", 0) for name in VE_ONLY),
])  # fmt: skip
def test_the_hosts_picture(pair, name, kind, first):
    theirs, their_draws, ours, our_draws = pair(name, kind, first)
    torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3)
    # What the host draws last and throws away need not be drawn.
    assert their_draws - our_draws in (0, 1)


@pytest.mark.parametrize("name, near", [
    ("seeds_2", 0.02), ("seeds_3", 0.02), ("exp_heun_2_x0_sde", 0.02), ("sa_solver", 0.02),
    ("dpmpp_2m_sde", 0.02), ("dpmpp_sde", 0.02), ("er_sde", 0.02),
])  # fmt: skip
def test_from_sigma_1_the_same_draws(pair, name, near):
    """The level that the host moves is all that is left of the difference."""
    theirs, their_draws, ours, our_draws = pair(name, "flow")
    assert their_draws - our_draws in (0, 1)
    assert float((ours - theirs).norm() / theirs.norm()) < near


def test_a_window_that_was_set_is_kept(pair):
    """SA-Solver's is the host's only where nobody chose one."""
    theirs, their_draws, ours, our_draws = pair("sa_solver", "flow", 3, tau_start=1e6, tau_end=0.0)
    assert our_draws > their_draws and not torch.allclose(ours, theirs, atol=1e-2)
