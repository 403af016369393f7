"""Old films: damage, detection and restoration, on the embedded model."""

from .drawing import Workflow, column, node
from .parts import decode, demo_clip

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

RESTORE = (RESTORE_DEMO,)
