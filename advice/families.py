"""Which families of models advice tells apart, and by what it knows them."""

from __future__ import annotations

from dataclasses import dataclass

# What a person calls each family. Those of UNKNOWN and "zsnr" stand for models by their noise.
FAMILIES = {
    "sd15": "SD1.5", "sd15_inpaint": "SD1.5 inpainting", "sd2": "SD2", "x4_upscaler": "SD x4",
    "lotus": "Lotus", "zero123": "Zero123", "sdxl": "SDXL", "sdxl_refiner": "SDXL refiner",
    "cascade_c": "Stable Cascade C", "cascade_b": "Stable Cascade B", "sd3": "SD3.5",
    "pixart": "PixArt", "hunyuan_dit": "HunyuanDiT", "aura_flow": "AuraFlow", "flux": "Flux",
    "flux_schnell": "Flux schnell", "ovis": "Ovis-Image", "flux2": "Flux 2", "chroma": "Chroma",
    "chroma_radiance": "Chroma Radiance", "lumina2": "Lumina 2", "z_image": "Z-Image",
    "qwen": "Qwen-Image", "longcat": "LongCat-Image", "omnigen2": "OmniGen 2", "boogu": "Boogu",
    "hidream": "HiDream", "hidream_o1": "HiDream-O1", "hunyuan_image": "HunyuanImage 2.1",
    "hunyuan_image_refiner": "HunyuanImage refiner", "kandinsky5_image": "Kandinsky 5 image",
    "ernie": "Ernie-Image", "ideogram4": "Ideogram 4", "joyimage": "JoyImage", "krea2": "Krea 2",
    "lens": "Lens", "mage_flow": "MageFlow", "anima": "Anima", "pixeldit": "PixelDiT",
    "pid": "PiD", "seedvr2": "SeedVR2", "cosmos2": "Cosmos 2",
    "svd": "SVD", "cosmos": "Cosmos 1", "cogvideox": "CogVideoX", "mochi": "Mochi",
    "ltxv": "LTX-Video", "hunyuan_video": "HunyuanVideo", "skyreels": "SkyReels V1",
    "hunyuan_video15": "HunyuanVideo 1.5", "hunyuan_video15_sr": "HunyuanVideo 1.5 upscaling",
    "wan": "Wan", "flow_rvs": "FlowRVS", "kandinsky5": "Kandinsky 5", "minimax_h3": "MiniMax H3",
    "stable_audio": "Stable Audio", "stable_audio3": "Stable Audio 3", "ace_step": "ACE-Step",
    "ace_step15": "ACE-Step 1.5", "minimax_music3": "MiniMax Music 3",
    "hunyuan3d": "Hunyuan3D", "triposplat": "TripoSplat", "trellis2": "Trellis 2",
    "demo": "the demo model", "demo_flow": "the demo model as a flow model",
    "zsnr": "a zero-terminal-SNR model", "ve": "a VE model", "flow": "a flow model",
}
UNKNOWN = ("ve", "flow")

# By the class of the host's model config, most derived first; names, since hosts differ in which
# they have. A class that is not here is what its base is.
CLASSES = {
    "SD15": "sd15", "SD20": "sd2", "SD_X4Upscaler": "x4_upscaler", "LotusD": "lotus",
    "Stable_Zero123": "zero123", "SDXL": "sdxl", "SDXLRefiner": "sdxl_refiner",
    "Stable_Cascade_C": "cascade_c", "Stable_Cascade_B": "cascade_b", "SD3": "sd3",
    "PixArtAlpha": "pixart", "HunyuanDiT": "hunyuan_dit", "AuraFlow": "aura_flow", "Flux": "flux",
    "FluxSchnell": "flux_schnell", "Flux2": "flux2", "Chroma": "chroma",
    "ChromaRadiance": "chroma_radiance", "Lumina2": "lumina2", "ZImage": "z_image",
    "QwenImage": "qwen", "LongCatImage": "longcat", "Omnigen2": "omnigen2", "Boogu": "boogu",
    "HiDream": "hidream", "HiDreamO1": "hidream_o1", "HunyuanImage21": "hunyuan_image",
    "HunyuanImage21Refiner": "hunyuan_image_refiner", "Kandinsky5Image": "kandinsky5_image",
    "ErnieImage": "ernie", "Ideogram4": "ideogram4", "JoyImage": "joyimage", "Krea2": "krea2",
    "Lens": "lens", "MageFlow": "mage_flow", "Anima": "anima", "PixelDiTT2I": "pixeldit",
    "PiD": "pid", "SeedVR2": "seedvr2", "CosmosT2IPredict2": "cosmos2",
    "SVD_img2vid": "svd", "CosmosT2V": "cosmos", "CogVideoX_T2V": "cogvideox",
    "GenmoMochi": "mochi", "LTXV": "ltxv", "LTXAV": "ltxv", "HunyuanVideo": "hunyuan_video",
    "HunyuanVideoSkyreelsI2V": "skyreels", "HunyuanVideo15": "hunyuan_video15",
    "HunyuanVideo15_SR_Distilled": "hunyuan_video15_sr", "WAN21_T2V": "wan",
    "WAN21_FlowRVS": "flow_rvs", "Kandinsky5": "kandinsky5", "MiniMaxH3": "minimax_h3",
    "StableAudio": "stable_audio", "StableAudio3": "stable_audio3", "ACEStep": "ace_step",
    "ACEStep15": "ace_step15", "MiniMaxMusic3": "minimax_music3",
    "Hunyuan3Dv2": "hunyuan3d", "TripoSplat": "triposplat", "Trellis2": "trellis2",
    "DemoConfig": "demo",
}

# A VE model whose noise goes further than this is a zero-terminal-SNR one; SVD ends at 700.
WIDE = 1000.0
_ALWAYS_WIDE = ("cogvideox",)  # its rows are for that range


@dataclass(frozen=True)
class Model:
    """What advice has to know of a model.

    family: a key of FAMILIES, "" where it is not known. flow: rectified flow, not VE. sigma_max:
    its largest noise level. guided: its guidance was distilled into it, as an input of its own.
    """

    family: str
    flow: bool
    sigma_max: float
    guided: bool = False

    @property
    def kind(self) -> str:
        """The family whose rows count."""
        if not self.flow and self.sigma_max > WIDE and self.family not in _ALWAYS_WIDE:
            return "zsnr"
        return self.family or ("flow" if self.flow else "ve")
