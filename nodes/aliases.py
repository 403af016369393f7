"""Search aliases of nodes: names in other packs, models, abbreviations."""

ALIASES: dict[str, str] = {
    "ZoetropeLoadMotionModule": "animatediff, animatediff loader, load animatediff model, hotshot, animatelcm, lightning",
    "ZoetropeLoadVideoCheckpoint": "videocrafter, dynamicrafter, modelscope, zeroscope, lavie, seine, text to video",
    "ZoetropeLoadTemporalVae": "svd, stable video, stable video diffusion, flicker, deflicker, video vae",
    "ZoetropeLoadDemoModel": "example model, tiny model, test model",
    "ZoetropeLoadDemoUpscaler": "example upscaler, tiny upscaler",
    "ZoetropeApplyMotionModule": "animatediff, evolved, evolved sampling, t2v, txt2vid",
    "ZoetropeMotionSettings": "multival, scale multival, effect multival, motion scale",
    "ZoetropeApplyMotionLora": "camera lora, camera motion, pan, zoom",
    "ZoetropeGuidanceInterval": "limited interval guidance, cfg interval, guidance limiter, skip cfg, dynamic cfg",
    "ZoetropeLookAcrossFrames": (
        "cross frame attention, cross-frame attention, text2video-zero, t2v-zero, tune-a-video, rerender, rave, vid2vid, v2v, "
        "restyle, style transfer, sparse causal, consistency, temporal consistency, flicker"
    ),
    "ZoetropeMotionReport": "inspect motion module, model info",
    "ZoetropeEndlessShot": "fifo, fifo diffusion, long video, infinite video, endless video",
    "ZoetropeLiveShot": (
        "streamdiffusion, stream diffusion, real-time, realtime, webcam, camera, live, live video, comfystream, vid2vid, lcm, "
        "turbo"
    ),
    "ZoetropePromptTimeline": "prompt travel, prompt schedule, batch prompt schedule, keyframe, keyframes, fizznodes",
    "ZoetropeKeyframes": "keyframe, keyframes, image at frame, first frame, last frame, in-between, image interpolation",
    "ZoetropeAnchor": "ipadapter, ip adapter, reference frame, identity, character consistency, consistent character, drift",
    "ZoetropeQueueSettings": "fifo settings, lookahead",
    "ZoetropeShotPlan": "estimate time, estimate memory, vram",
    "ZoetropeFifoSampler": "fifo, fifo diffusion, long video sampler",
    "ZoetropeSlidingWindows": "context, context options, context window, loop, looped uniform, closed loop",
    "ZoetropeLongShotNoise": "freenoise, freeinit, noise shuffle, same noise, sample settings",
    "ZoetropeInvertVideo": "ddim inversion, unsampler, unsample, invert, renoise, vid2vid, restyle video",
    "ZoetropeRestyleVideo": "vid2vid, v2v, video to video, style transfer, long video, video file, batch video",
    "ZoetropeAddFilmDamage": "old film, film look, film grain, dust and scratches, vintage, retro, vhs, degrade, degradation",
    "ZoetropeDetectDamage": "scratch mask, dust mask, scratch detection, dirt, blotches, old film, restoration, inpaint mask",
    "ZoetropeRestoreFilm": (
        "old film, film restoration, restore, repair, dust, dirt removal, scratch removal, deflicker, stabilise, stabilize, "
        "gate weave, remove scratches"
    ),
    "ZoetropeRepaintDamage": (
        "video inpainting, inpaint video, inpaint damage, blotches, tears, remove object, old film, film restoration, restore"
    ),
    "ZoetropeLoadRestorationControl": "diffbir, ircontrolnet, restoration, restore, deblur, denoise, upscale",
    "ZoetropeFollowFlow": "rerender, rerender a video, optical flow, warp, temporal consistency, flicker, restyle video",
    "ZoetropeEncodeVideo": "vid2vid, v2v, video to video, video to latent, restyle video",
    "ZoetropeDecodeVideo": "video decode, latent to video, vae decode video",
    "ZoetropeDecodeVideoToFile": "video combine, save video, export video, write video, mp4",
    "ZoetropeVaeRoundTrip": "vae test, compare vae",
    "ZoetropeLoadImageProjector": "ipadapter, ip adapter, ipadapter loader, load ipadapter",
    "ZoetropeImagePrompt": "ipadapter, ip adapter, apply ipadapter, reference image",
    "ZoetropeFirstLastFrameGuide": "img2vid, i2v, image to video, pia, start image, end image, animate image",
    "ZoetropeLoadSparseCtrl": "sparse control, sparsectrl loader, keyframe controlnet",
    "ZoetropeMergeAcrossFrames": "vidtome, video token merging, token merging, tome, restyle, vid2vid, consistency, flicker",
    "ZoetropeLoadVideoUpscaler": "upscale a video, video super resolution, x4 upscaler, vsr",
    "ZoetropeInterpolateFrames": "interpolation, frame interpolation, tween, slow motion, rife, film",
    "ZoetropeUpscaleVideo": "upscale, video upscale, super resolution, video super resolution, vsr",
    "ZoetropeMatchColour": "match color, color match, colour match, color correction, color drift",
    "ZoetropeVideoMetrics": "flicker, measure flicker, psnr, ssim, video quality",
    "ZoetropeLoraByFrame": "lora schedule, scheduled lora, lora keyframes, lora hook, prompt control, lora strength, lora mask",
    "ZoetropeLoadVideoSegment": "load video frames, frame range, trim video, video to images",
}
"""Node id -> aliases, the most used first."""


def words_of(node_id: str) -> list[str]:
    """Search aliases of a node."""
    return [word.strip() for word in ALIASES.get(node_id, "").split(",") if word]
