"""Old films: damage, detection and restoration, on the embedded model."""

from .drawing import Workflow, column, node
from .own import AS_USUAL, checkpoint, module
from .parts import avoid, decode, demo_clip, motion, prompt, sampler, saving

RESTORE_DEMO = Workflow(
    "39_restore_a_film_demo", "0.3.64",
    """
## Restore an old film, nothing to download

Press **Run**. A clip is filmed and gets the damage of an old film: dust, scratches, flicker, an unsteady gate, fading, grain. *7. Restore Film* repairs it without a model, from file to file, to `output/zoetrope`; the damaged clip is in `output/video`.

**First, change** the four strengths of *7*: 0 switches a step off, 1 is all of it. Then `preset` and the factors of *5. Add Film Damage*.

- *6. Detect Damage* shows in red what it finds. Connect its `mask`, or one that you painted, to *7* to repair exactly that.
- Fading, grain and blur stay: they need a model.

**A film of your own:** connect **Load Video** to *6* and *7* in place of *5*. Any length fits in memory in *7*, sound is kept. Deinterlace it first.
""",
    (
        *demo_clip("a red circle moving right on grey at 8 fps", decode("@sampler.LATENT"), count=32, scene="A clip"),
        column("Damage",
               node("larger", "ImageScaleBy", "256 x 256 pixels", image="@decode.images", upscale_method="bicubic", scale_by=4.0),
               node("damage", "ZoetropeAddFilmDamage", "5. An old film (or Load Video)", images="@larger.IMAGE", preset="old film",
                    seed=0, fps=8.0), width=320),
        column("What is damaged",
               node("save", "SaveVideo", "Damaged, in output/video", room=200, video="@damage.video", filename_prefix="video/zoetrope_damaged"),
               node("detect", "ZoetropeDetectDamage", "6. Detect Damage", room=24, images="@damage.images"),
               node("seen", "PreviewImage", "Damage in red", room=160, images="@detect.overlay"), width=340),
        column("Restored",
               node("restore", "ZoetropeRestoreFilm", "7. Restored, from file to file", room=330, images="@damage.video"), width=360),
    ),
)  # fmt: skip

REPAINT_DEMO = Workflow(
    "40_repaint_damage_demo", "0.3.64",
    """
## Repaint what no other frame can fill, nothing to download

Press **Run**. A clip gets large stains. *6. Repaint Damage* fills them from the frames around, then samples them with the same model: only inside the mask. All other pixels keep every bit. The file lands in `output/zoetrope`.

**First, change** `denoise` of *6*: how freely the model may repaint. Then the prompt, which should describe the film.

**A film of your own:** `44_old_film_sd15`.
""",
    (
        *demo_clip("a red circle moving right on grey at 8 fps", decode("@sampler.LATENT"), scene="A clip"),
        column("Damage",
               node("damage", "ZoetropeAddFilmDamage", "5. Large stains", images="@decode.images", preset="old film", seed=0,
                    dust=0.0, lines=0.0, blotches=8.0, flicker=0.0, weave=0.0, fading=0.0, grain=0.0, blur=0.0, bleed=0.0,
                    compression=0.0, fps=8.0),
               node("save", "SaveVideo", "Damaged, in output/video", room=200, video="@damage.video", filename_prefix="video/zoetrope_stained"),
               width=340),
        column("Repainted",
               node("repaint", "ZoetropeRepaintDamage", "6. Repainted, from file to file", room=330, model="@motion.model",
                    positive="@prompt.CONDITIONING", negative="@negative.CONDITIONING", vae="@demo.vae", images="@damage.video",
                    mask="@damage.mask", seed=0, steps=20, cfg=3.0, denoise=0.6), width=360),
    ),
)  # fmt: skip

DIFFBIR = Workflow(
    "41_restore_diffbir", "0.3.64",
    """
## Restore poor pictures with DiffBIR

1. An **SD2.1** checkpoint (base for DiffBIR v1 and v2).
2. A **DiffBIR** file (`models/controlnet`): `v2.pth`, `v1_general.pth`. Licence: Apache-2.0.
3. **A short video**, enlarged so that its short side has 512 pixels or more. Press **Run**.

**First, change** the prompt: say what is in the picture. Then `strength` of *4. Apply ControlNet*.

- Frames are restored one by one here. A motion module for SD2.x (VideoCrafter2, ModelScope) on the model keeps them steady.
- The authors clean the pictures with an upscale model first: put core's *Upscale Image (using Model)* before *4*.
- Dust and scratches count as content: *Restore Film* removes them first.
""",
    (
        column("Load", checkpoint("1. An SD2.1 checkpoint", "v2-1_512-ema-pruned.safetensors"),
               node("control", "ZoetropeLoadRestorationControl", "2. DiffBIR", control_net_name="v2.pth"),
               node("video", "LoadVideo", "3. A short video", room=160, file="old.mp4")),
        column("Words and size", prompt("What is in it", "a street with people, sharp, best quality", "@base.CLIP"),
               avoid("low quality, blurry, low-resolution, noisy", "@base.CLIP"),
               node("parts", "GetVideoComponents", "Frames of the video", video="@video.VIDEO"),
               node("larger", "ImageScaleBy", "512 pixels or more", image="@parts.images", upscale_method="bicubic", scale_by=2.0)),
        column("Restore", node("read", "ZoetropeEncodeVideo", "Only its size is used", images="@larger.IMAGE", vae="@base.VAE"),
               node("steered", "ControlNetApplyAdvanced", "4. Core's Apply ControlNet", positive="@prompt.CONDITIONING",
                    negative="@negative.CONDITIONING", control_net="@control.control_net", image="@larger.IMAGE", vae="@base.VAE"),
               sampler("Samples the frames", "@base.MODEL", "@read.latent", "@steered.positive", negative="@steered.negative",
                       cfg=6.0, steps=20)),
        column("Video", decode("@sampler.LATENT", "@base.VAE"), *saving("@decode.images", "zoetrope_diffbir", 16.0).nodes, width=324),
    ),
)  # fmt: skip

OLD_FILM = Workflow(
    "44_old_film_sd15", "0.3.64",
    """
## An old film, whole again

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, 3. a **LoRA** for the look of its time (or strength 0).
4. **Your film**, 5. an **x4 upscaler** (`28_upscale_your_video` names some). Press **Run**.

*6. Restore Film* steadies it, evens out flicker, and fills dust and scratches, without a model. *7* finds what is left, *8. Repaint Damage* samples it with your checkpoint, motion and LoRA. *9. Upscale Video* sharpens it.

**First, change** the prompt: what is in the film, and when it was made. `factor` of *9*: 1 keeps the size, 4 is four times as large.

- Every stage is a file in `output/zoetrope`; a finished one is used again, *8* and *9* continue after a stop.
- *7* holds masks in memory: use films of a few hundred frames here, or connect a mask for all frames.
""",
    (
        column("Load", checkpoint(), module(),
               node("lora", "LoraLoader", "3. A LoRA for the era", model="@base.MODEL", clip="@base.CLIP", lora_name="era.safetensors",
                    strength_model=0.6, strength_clip=0.6),
               node("video", "LoadVideo", "4. Your film", room=160, file="old.mp4"),
               node("upscaler", "ZoetropeLoadVideoUpscaler", "5. An x4 upscaler", upscaler_name="x4-upscaler-ema.safetensors")),
        column("Motion and words", motion("@lora.MODEL", "@module.motion", "Motion goes into the checkpoint"),
               prompt("The film", "a street with trams and people, film still, 1920s", "@lora.CLIP"),
               avoid("scratches, dust, text, watermark", "@lora.CLIP"),
               prompt("For the upscaler", "best quality, detailed", "@upscaler.clip", "fine"),
               avoid("blurry, scratches", "@upscaler.clip", "poor")),
        column("Without a model",
               node("restore", "ZoetropeRestoreFilm", "6. Restored, from file to file", room=330, images="@video.VIDEO"), width=360),
        column("With your checkpoint",
               node("detect", "ZoetropeDetectDamage", "7. What is left", images="@restore.video", grow=2),
               node("repaint", "ZoetropeRepaintDamage", "8. Repainted", room=330, model="@motion.model", positive="@prompt.CONDITIONING",
                    negative="@negative.CONDITIONING", vae="@base.VAE", images="@restore.video", mask="@detect.mask", seed=0, steps=20,
                    denoise=0.6, **AS_USUAL), width=360),
        column("Sharper",
               node("large", "ZoetropeUpscaleVideo", "9. Sharper, of the same size", room=200, model="@upscaler.model",
                    positive="@fine.CONDITIONING", negative="@poor.CONDITIONING", vae="@upscaler.vae", images="@repaint.video",
                    seed=0, steps=20, cfg=4.0, noise_level=50, filename_prefix="zoetrope/large", factor=2.0), width=360),
    ),
)  # fmt: skip

RESTORE = (RESTORE_DEMO, REPAINT_DEMO, DIFFBIR, OLD_FILM)
