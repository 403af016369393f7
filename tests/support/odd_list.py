"""The odd files that tests try against FFmpeg's own output."""

from odd_files import LATE, X264, Odd, still, tone, with_aperture, with_edits

LEFT = "in_chroma_loc=left"
"""Where H.264 and its kin have their colours when nothing is said (ITU-T H.264, E.2.1); FFmpeg's filter takes the middle."""
SQUARE = f"scale=ceil(iw*sar/2)*2:ih:{LEFT},setsar=1"
HDR = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params")


def coloured(matrix: str, wide: str, tags: tuple[str, ...], size: str = "64x48", pixels: str = "yuv420p") -> tuple[str, ...]:
    """Flat bars in a matrix and range, tagged or not."""
    scale = f"scale=out_color_matrix={matrix}:out_range={wide},format={pixels},setparams={':'.join(tags)}"
    return (*still(size, "5", 0.4), "-vf", scale, "-c:v", "libx264")


UNTAGGED = ("colorspace=unknown", "range=unknown", "color_primaries=unknown", "color_trc=unknown")

FILES: dict[str, Odd] = {
    "trimmed_phone": Odd(
        (*still("64x48", "30", 2), *tone(2), *X264, "-g", "250", "-c:a", "aac"),
        then=(".mp4", "-ss", "1.2", "-i", "IN", "-c", "copy"),
    ),
    "trimmed_mov": Odd((*still("64x48", "30", 2), *X264, "-g", "30"), ".mov", (".mov", "-ss", "0.5", "-i", "IN", "-c", "copy")),
    "turned_phone": Odd((*still(), *X264), then=(".mp4", "-display_rotation", "90", "-i", "IN", "-c", "copy")),
    "upside_down": Odd((*still(), *X264), then=(".mp4", "-display_rotation", "180", "-i", "IN", "-c", "copy")),
    "mirrored": Odd((*still(), *X264), then=(".mp4", "-display_hflip", "-i", "IN", "-c", "copy")),
    "flipped": Odd((*still(), *X264), then=(".mp4", "-display_vflip", "-i", "IN", "-c", "copy")),
    "turned_and_mirrored": Odd(
        (*still(), *X264), then=(".mp4", "-display_rotation", "90", "-display_hflip", "-i", "IN", "-c", "copy")
    ),
    "turned_back_and_flipped": Odd(
        (*still(), *X264), then=(".mp4", "-display_rotation", "-90", "-display_vflip", "-i", "IN", "-c", "copy")
    ),
    "browser": Odd(
        (*still("64x48", "30", 1), "-vf", "select=not(eq(mod(n\\,7)\\,3))", "-fps_mode", "vfr", "-c:v", "libvpx", "-live", "1"),
        ".webm", uneven=True, spare=1,
    ),
    "uneven_phone": Odd(
        (*still("64x48", "30", 2), "-vf", "select=lt(n\\,20)+not(mod(n\\,4))", "-fps_mode", "vfr", *X264), uneven=True, spare=1
    ),
    "camcorder_dv": Odd((*still("720x576", "25", 0.12), "-pix_fmt", "yuv420p"), ".dv", view=SQUARE),
    "hdr_pq": Odd(
        (*still(), *HDR, "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited"),
        view=f"scale={LEFT}", says="HDR (PQ)",
    ),
    "hdr_hlg": Odd(
        (*still(), *HDR, "log-level=none:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:range=limited"),
        ".mkv", view=f"scale={LEFT}", says="HDR (HLG)",
    ),
    "wide_gamut": Odd(
        (*still(), *HDR, "log-level=none:colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc:range=limited"),
        view=f"scale={LEFT}", says="BT.2020, read as sRGB",
    ),
    "ten_bits": Odd((*still(), "-c:v", "libx264", "-pix_fmt", "yuv420p10le"), view=f"scale={LEFT}"),
    "prores_422": Odd((*still(), "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"), ".mov"),
    "prores_alpha": Odd(
        (*still(), "-vf", "format=rgba,colorchannelmixer=aa=0.5", "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"), ".mov"
    ),
    "vp9_444": Odd((*still(), "-c:v", "libvpx-vp9", "-pix_fmt", "yuv444p"), ".webm"),
    "two_tracks": Odd(
        (*still(), *tone(1, hertz=440), *tone(1, hertz=1760), *X264, "-c:a", "flac", "-map", "0", "-map", "1", "-map", "2"),
        ".mkv",
    ),
    "late_sound": Odd((*still(seconds=2), "-itsoffset", "0.7", *tone(1), *X264, *LATE), ".mkv"),
    "late_picture": Odd(("-itsoffset", "0.6", *still(), *tone(2), "-af", "adelay=900", *X264, *LATE), ".mkv"),
    "late_sound_mp4": Odd(
        (*still(seconds=2), "-itsoffset", "0.7", *tone(1), *X264, "-c:a", "aac", "-map", "0:v", "-map", "1:a")
    ),
    "gap_in_sound": Odd(
        (*still(seconds=2), *tone(2), "-af", "aselect=lt(t\\,0.5)+gt(t\\,1.3)", *X264, *LATE), ".mkv"
    ),
    "broadcast": Odd((*still("64x48", "25"), *tone(1), "-c:v", "mpeg2video", "-c:a", "mp2"), ".ts"),
    "broadcast_late_clock": Odd(
        (*still("64x48", "25"), *tone(1), *X264, "-c:a", "aac", "-output_ts_offset", "50000"), ".ts"
    ),
    "webm_late_clock": Odd((*still(), *tone(1), "-c:v", "libvpx", "-c:a", "libopus", "-output_ts_offset", "90"), ".webm"),
    "dvd": Odd((*still("64x48", "25"), *tone(1), "-c:v", "mpeg2video", "-c:a", "mp2", "-bf", "2"), ".mpg"),
    "odd_size": Odd((*still("65x49"), "-c:v", "ffv1", "-pix_fmt", "yuv444p"), ".mkv"),
    "gif": Odd((*still("64x48", "10", 2), "-vf", "select=lt(n\\,6)+not(mod(n\\,5))", "-fps_mode", "vfr"), ".gif", uneven=True),
    "webp": Odd((*still(), "-c:v", "libwebp_anim", "-lossless", "1"), ".webp"),
    "apng": Odd((*still(), "-f", "apng"), ".png"),
    "y4m": Odd((*still(), "-pix_fmt", "yuv420p"), ".y4m"),
    "raw_mpeg2": Odd((*still("64x48", "25"), "-c:v", "mpeg2video", "-bf", "2"), ".m2v"),
    "raw_mjpeg": Odd((*still("64x48", "25"), "-c:v", "mjpeg", "-q:v", "2"), ".mjpeg"),
    "raw_h264": Odd((*still("64x48", "25"), *X264), ".h264"),
    "avi_b_frames": Odd((*still(), "-c:v", "mpeg4", "-bf", "2", "-q:v", "2"), ".avi"),
    "wmv": Odd((*still(), *tone(1), "-c:v", "wmv2", "-c:a", "wmav2"), ".wmv"),
    "flv": Odd((*still(), *tone(1, 44100), "-c:v", "flv1", "-c:a", "aac"), ".flv"),
    "untagged_hd": Odd(coloured("bt709", "tv", UNTAGGED, "1280x720"), view="scale=in_color_matrix=bt709:in_range=tv"),
    "untagged_sd": Odd(coloured("bt601", "tv", UNTAGGED), view="scale=in_color_matrix=bt601:in_range=tv"),
    "tagged_709_sd": Odd(coloured("bt709", "tv", ("colorspace=bt709", "range=tv"))),
    "tagged_601_hd": Odd(coloured("bt601", "tv", ("colorspace=smpte170m", "range=tv"), "1280x720")),
    "full_range": Odd(coloured("bt709", "pc", ("colorspace=bt709", "range=pc"))),
    "mjpeg_avi": Odd((*still(), "-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj422p"), ".avi"),
    "grey": Odd((*still(), "-c:v", "ffv1", "-pix_fmt", "gray"), ".mkv"),
    "rgb": Odd((*still(), "-c:v", "libx264rgb"), ".mkv"),
    "wide_pixels": Odd((*still("72x58"), "-vf", "setsar=64/45", *X264), view=f"scale=102:58:{LEFT},setsar=1"),
    "tall_pixels": Odd((*still("72x48"), "-vf", "setsar=8/9", *X264), view=f"scale=iw:54:{LEFT},setsar=1"),
    "wide_pixels_turned": Odd(
        (*still("72x48"), "-vf", "setsar=4/3", *X264),
        then=(".mp4", "-display_rotation", "90", "-i", "IN", "-c", "copy"), view="scale=48:96,setsar=1", off=10,
    ),
    "clean_aperture": Odd((*still(), *X264), ".mov", patch=with_aperture),
    "edits_in_pieces": Odd(
        (*still("64x48", "10", 2), *X264, "-g", "5", "-bf", "0"),
        patch=with_edits((500, 10240), (400, 2048), (300, 15360)), uneven=True, spare=1,
    ),
    "edits_that_wait": Odd(
        (*still("64x48", "10", 2), *X264, "-g", "5", "-bf", "0"), patch=with_edits((600, -1), (500, 5120))
    ),
    "film_rate": Odd((*still("64x48", "24000/1001"), *X264)),
    "begins_in_mid_group": Odd((*still("64x48", "25", 2), "-c:v", "mpeg2video", "-g", "12", "-bf", "2"), ".ts",
        patch=lambda data: data[188 * (len(data) // 188 // 3) :], spare=2),
    "last_one_stands": Odd(
        (*still("64x48", "10", 1.5), "-vf", "select=lt(n\\,8)+eq(n\\,14)", "-fps_mode", "vfr", *X264),
        ".mkv", uneven=True, spare=1,
    ),
}  # fmt: skip
