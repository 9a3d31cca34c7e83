"""Which family's published tables a host MODEL gets, by the host's own model configs."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.host


@pytest.mark.parametrize("config, family", [
    ("SD15", "sd15"), ("SD15_instructpix2pix", "sd15"), ("SDXL", "sdxl"), ("SSD1B", "sdxl"),
    ("SVD_img2vid", "svd"), ("Flux", "flux"), ("FluxInpaint", "flux"), ("Chroma", "chroma"),
    ("FluxSchnell", "flux_schnell"), ("Flux2", "flux2"), ("WAN21_I2V", "wan"),
    ("WAN22_T2V", "wan"), ("SD20", "sd2"), ("SD21UnclipH", "sd2"),
    ("QwenImage", "qwen"), ("SDXLRefiner", ""), ("SD3", ""), ("LTXV", ""),
])  # fmt: skip
def test_family_of_the_hosts_models(comfy, config, family):
    import comfy.supported_models
    from stride.host.lists.model import family_of
    from stride.schedules.spec import FAMILIES

    made = getattr(comfy.supported_models, config)({"in_channels": 4, "hidden_size": 6144})
    assert family_of(SimpleNamespace(model=SimpleNamespace(model_config=made))) == family
    assert family in ("", *FAMILIES)
    assert family_of(SimpleNamespace()) == ""
