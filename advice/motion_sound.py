"""Rows of models that make videos, sound and shapes."""

from __future__ import annotations

from .row import WHOLE, Row

VIDEOS = (
    Row("svd", "euler", "karras", (20, 50), (1, 3), "official",
        "image_to_video: 20 steps, cfg 2.5; diffusers: 25 steps, cfg 1-3"),
    Row("cosmos", "euler", "edm", (20, 50), (5, 8), "convention",
        "diffusers CosmosTextToWorldPipeline: EDM noise, Euler, 36 steps, cfg 7"),
    Row("cogvideox", "ddim", "trailing", (30, 100), (5, 7), "convention",
        "diffusers CogVideoXPipeline: DDIM, trailing, 50 steps, cfg 6"),
    Row("mochi", "euler", "linear_quadratic", (30, 100), (3, 6), "authors",
        "genmoai/models infer.py: linear-quadratic, 64 steps, cfg 4.5, as in diffusers"),
    Row("ltxv", "euler", "ltxv", (15, 60), (2.5, 4), "official",
        "ltxv_text_to_video: 30 steps, cfg 3; video_ltx2_i2v: 20 steps, cfg 4"),
    Row("ltxv", "euler", "linear_quadratic", (4, 12), (1, 1), "official",
        "video_ltx2_t2v_distilled: 8 steps, cfg 1, at sigmas that are linear_quadratic's; "
        "video_ltx2_3_ic_lora", WHOLE,
        ("euler_ancestral", "euler_ancestral_cfg_pp", "gradient_estimation"), ("ltxv",)),
    Row("hunyuan_video", "euler", "simple", (20, 60), (1, 1), "authors",
        "Tencent-Hunyuan/HunyuanVideo README: 50 steps, embedded cfg 6; template "
        "hunyuan_video_text_to_video: euler, simple"),
    Row("skyreels", "euler", "simple", (20, 50), (4, 7), "convention",
        "diffusers HunyuanSkyreelsImageToVideoPipeline: Euler, 30 steps, true cfg 6"),
    Row("hunyuan_video15", "euler", "simple", (20, 60), (4, 7), "official",
        "video_hunyuan_video_1.5_720p_t2v: 20 steps, cfg 6"),
    Row("hunyuan_video15_sr", "euler", "simple", (4, 12), (1, 1), "authors",
        "Tencent-Hunyuan/HunyuanVideo-1.5, 720p_sr_distilled: 6 steps, shift 2", WHOLE),
    Row("wan", "uni_pc", "simple", (20, 60), (3, 6), "authors",
        "Wan-Video/Wan2.1 and Wan2.2 generate.py: UniPC, 40-50 steps, scale 3.5-5; template "
        "text_to_video_wan: simple, 30 steps, cfg 6"),
    Row("flow_rvs", "euler", "simple", (1, 8), (1, 1), "authors",
        "xmz111/FlowRVS inference_demo.py: Euler, 4 steps, no guidance"),
    Row("kandinsky5", "euler_ancestral", "beta", (25, 60), (3.5, 6), "official",
        "video_kandinsky5_t2v: 50 steps, cfg 5"),
    Row("minimax_h3", "res_multistep", "simple", (16, 60), (1, 1), "official",
        "video_minimax_h3_t2v: 20 steps, cfg 1"),
    Row("minimax_h3", "res_multistep", "simple", (4, 12), (1, 1), "official",
        "video_minimax_h3_i2v: turbo LoRA, 8 steps; video_fastvideo_fasth3_t2v: 8 steps", WHOLE,
        ("euler",)),
)
SOUNDS = (
    Row("stable_audio", "dpmpp_3m_sde", "exponential", (40, 120), (4, 8), "official",
        "audio_stable_audio_example: 50 steps, cfg 4.98; diffusers: 100 steps, cfg 7"),
    Row("stable_audio3", "lcm", "simple", (25, 100), (4, 9), "official",
        "audio_stable_audio_3_medium_base: 50 steps, cfg 7"),
    Row("stable_audio3", "lcm", "simple", (4, 16), (1, 1), "official",
        "audio_stable_audio_3_medium: 8 steps, cfg 1", WHOLE),
    Row("ace_step", "euler", "simple", (25, 160), (3, 7), "official",
        "audio_ace_step_1_t2a_song: 50 steps, cfg 5"),
    Row("ace_step15", "euler", "simple", (25, 80), (4, 9), "official",
        "audio_ace_step1_5_xl_base: 50 steps, cfg 6; audio_ace_step1_5_xl_sft: cfg 7"),
    Row("ace_step15", "euler", "simple", (4, 16), (1, 1), "official",
        "audio_ace_step1_5_xl_turbo: 8 steps, cfg 1", WHOLE),
    Row("minimax_music3", "euler", "simple", (20, 60), (1.5, 3), "official",
        "audio_minimax_music_3: 30 steps, cfg 1.7"),
)
SHAPES = (
    Row("hunyuan3d", "euler", "normal", (15, 50), (4, 8), "official",
        "3d_hunyuan3d-v2.1: 30 steps, cfg 5; 3d_hunyuan3d_image_to_model: 20 steps, cfg 8"),
    Row("triposplat", "dpmpp_2m", "simple", (15, 40), (2, 5), "official",
        "3d_triposplat_image_to_gaussian_splat: 20 steps, cfg 3"),
    Row("trellis2", "euler", "normal", (10, 40), (1, 9), "official",
        "3d_pixal3d_trellis2_image_to_model: 12 and 20 steps, cfg 7.5 for the shape, 1 for the "
        "texture", schedules=("simple",)),
)
