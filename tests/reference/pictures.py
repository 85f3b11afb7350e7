"""Makes small pictures of every kind that users have, and records what Pillow reads in them and which perceptual
hashes the imagehash package gives them.

    python tests/reference/pictures.py > tests/reference/pictures.json

Needs Pillow with LittleCMS, and imagehash. Each record holds the file and the upright picture in sRGB over white, as rows of
red, green and blue, both in hexadecimal, and how far a sample may differ: decoders of JPEG and colour profiles
round differently. Hashes are those of the recorded samples, 16 hexadecimal digits each.
"""

import io
import json
import math
import struct
import sys

import imagehash
from PIL import Image, ImageCms, ImageDraw, ImageOps

WIDTH, HEIGHT = 24, 16


def scene():
    """Smooth colours with an edge, so that turning and colours show, and JPEG has little to round."""
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            red, green, blue = 255 * x // WIDTH, 255 * y // HEIGHT, 160
            picture.putpixel((x, y), (red, green, blue) if x < 16 else (230, green, 40))
    return picture


def alpha():
    mask = Image.new("L", (WIDTH, HEIGHT))
    mask.putdata([255 * x // (WIDTH - 1) for _ in range(HEIGHT) for x in range(WIDTH)])
    return mask


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def tag(kind, body):
    return kind + b"\0\0\0\0" + body


def fixed(value):
    return struct.pack(">i", round(value * 65536))


def profile(space, tags, pcs=b"XYZ "):
    """An ICC profile of version 2 with these tags."""
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags:
        body += b"\0" * (-len(body) % 4)
        table += name + struct.pack(">II", start + len(data), len(body))
        data += body
    size = 128 + len(table) + len(data)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr" if space != b"CMYK" else b"prtr", space, pcs)
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return (header + b"\0" * 128)[:128] + table + data


def common():
    text = b"made for a test\0"
    description = tag(b"desc", struct.pack(">I", len(text)) + text + b"\0" * 78)
    white = tag(b"XYZ ", fixed(0.9642) + fixed(1.0) + fixed(0.8249))
    return [(b"desc", description), (b"cprt", tag(b"text", text)), (b"wtpt", white)]


def wide_profile():
    """A matrix profile with the primaries of Adobe RGB (1998) and gamma 2.2."""
    columns = {b"rXYZ": (0.60974, 0.31111, 0.01947), b"gXYZ": (0.20528, 0.62567, 0.06087), b"bXYZ": (0.14919, 0.06322, 0.74457)}
    curve = tag(b"curv", struct.pack(">IH", 1, round(2.19921875 * 256)))
    tags = common() + [(name, tag(b"XYZ ", b"".join(map(fixed, column)))) for name, column in columns.items()]
    return profile(b"RGB ", tags + [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")])


def grey_profile():
    curve = tag(b"curv", struct.pack(">IH", 1, round(1.8 * 256)))
    return profile(b"GRAY", common() + [(b"kTRC", curve)])


def ink_profile():
    """A table of two steps an ink: each takes its share of the light, in CIELAB of 8 bits."""
    table = b""
    for number in range(16):
        cyan, magenta, yellow, black = [number >> place & 1 for place in (3, 2, 1, 0)]
        light = (100 - 30 * cyan - 45 * magenta - 8 * yellow) * (1 - 0.85 * black)
        a, b = (-35 * cyan + 70 * magenta - 5 * yellow) * (1 - black), (-45 * cyan - 5 * magenta + 85 * yellow) * (1 - black)
        table += bytes(round(value) for value in (max(light, 0) * 2.55, min(max(a, -120), 120) + 128, min(max(b, -120), 120) + 128))
    line = bytes(range(256))
    matrix = b"".join(fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    body = struct.pack(">BBBB", 4, 3, 2, 0) + matrix + line * 4 + table + line * 3
    return profile(b"CMYK", common() + [(b"A2B0", tag(b"mft1", body))], pcs=b"Lab ")


def without_adobe(file):
    at = file.index(b"\xff\xee")
    return file[:at] + file[at + 2 + struct.unpack(">H", file[at + 2 : at + 4])[0] :]


def with_transform(file, transform):
    at = file.index(b"Adobe")
    return file[: at + 11] + bytes([transform]) + file[at + 12 :]


def sixteen_bit(mode):
    """A PNG of 16 bits a sample, which Pillow does not write in colour."""
    import zlib

    channels = {"grey": (0, 1), "rgb": (2, 3), "rgba": (6, 4)}[mode]
    rows = b""
    for y in range(HEIGHT):
        rows += b"\0"
        for x in range(WIDTH):
            sample = [x * 65535 // WIDTH, y * 65535 // HEIGHT, 40000, 65535 * x // (WIDTH - 1)]
            values = {1: [sample[0]], 3: sample[:3], 4: sample}[channels[1]]
            rows += b"".join(struct.pack(">H", value) for value in values)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, channels[0], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def oriented(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "harbour at noon"
    exif[0x010F], exif[0x0110] = "Okular", "Okular K-7"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 08:30:00"
    exif.get_ifd(0x8769)[0x9011] = "+02:00"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2], gps[3], gps[4] = "S", (33.0, 51.0, 30.0), "E", (151.0, 12.0, 0.0)
    return saved(scene(), kind, exif=exif, **({"quality": 95} if kind != "PNG" else {}))


def files():
    rgb, grey, cmyk = scene(), scene().convert("L"), scene().convert("CMYK")
    rgba = rgb.copy()
    rgba.putalpha(alpha())
    grey_alpha = grey.convert("LA")
    grey_alpha.putalpha(alpha())
    palette = rgb.quantize(16)
    see_through = palette.copy()
    see_through.info["transparency"] = 3
    adobe = saved(cmyk, "JPEG", quality=95, subsampling=0)
    yield "jpeg", 3, saved(rgb, "JPEG", quality=95, subsampling=0)
    yield "jpeg-420", 6, saved(rgb, "JPEG", quality=95, subsampling=2)
    yield "jpeg-progressive", 3, saved(rgb, "JPEG", quality=95, subsampling=0, progressive=True)
    yield "jpeg-grey", 2, saved(grey, "JPEG", quality=95)
    yield "jpeg-cmyk-adobe", 4, adobe
    yield "jpeg-cmyk", 4, without_adobe(adobe)
    yield "jpeg-ycck", 5, with_transform(adobe, 2)
    yield "jpeg-restart", 3, saved(rgb, "JPEG", quality=95, subsampling=0, restart_marker_blocks=1)
    yield "png", 0, saved(rgb, "PNG")
    yield "png-grey", 0, saved(grey, "PNG")
    yield "png-bilevel", 0, saved(grey.convert("1"), "PNG")
    yield "png-palette", 0, saved(palette, "PNG")
    yield "png-palette-alpha", 0, saved(see_through, "PNG", transparency=3)
    yield "png-alpha", 1, saved(rgba, "PNG")
    yield "png-grey-alpha", 1, saved(grey_alpha, "PNG")
    yield "png-16-rgb", 1, sixteen_bit("rgb")
    yield "png-16-rgba", 2, sixteen_bit("rgba")
    yield "png-16-grey", 1, sixteen_bit("grey")
    yield "webp", 3, saved(rgb, "WEBP", quality=95)
    yield "webp-lossless", 0, saved(rgb, "WEBP", lossless=True)
    yield "webp-alpha", 1, saved(rgba, "WEBP", lossless=True, exact=True)
    yield "gif", 0, saved(palette, "GIF")
    yield "gif-alpha", 0, saved(see_through, "GIF", transparency=3)
    frames = [palette, scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT).quantize(16)]
    yield "gif-animated", 0, saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "webp-animated", 0, saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)], lossless=True)
    yield "bmp", 0, saved(rgb, "BMP")
    yield "bmp-palette", 0, saved(palette, "BMP")
    yield "tiff", 0, saved(rgb, "TIFF")
    yield "tiff-lzw", 0, saved(rgb, "TIFF", compression="tiff_lzw")
    yield "tiff-deflate", 0, saved(rgb, "TIFF", compression="tiff_adobe_deflate")
    yield "tiff-grey", 0, saved(grey, "TIFF")
    yield "tiff-cmyk", 1, saved(cmyk, "TIFF")
    for orientation in range(1, 9):
        yield f"jpeg-orientation-{orientation}", 3, oriented(orientation, "JPEG")
    yield "png-orientation-6", 0, oriented(6, "PNG")
    yield "webp-orientation-8", 4, oriented(8, "WEBP")
    yield "tiff-orientation-6", 0, saved(rgb, "TIFF", tiffinfo={274: 6})
    yield "jpeg-wide", 6, saved(rgb, "JPEG", quality=95, subsampling=0, icc_profile=wide_profile())
    yield "png-wide", 2, saved(rgb, "PNG", icc_profile=wide_profile())
    yield "webp-wide", 2, saved(rgb, "WEBP", lossless=True, icc_profile=wide_profile())
    yield "tiff-wide", 2, saved(rgb, "TIFF", icc_profile=wide_profile())
    yield "png-grey-profile", 2, saved(grey, "PNG", icc_profile=grey_profile())
    yield "jpeg-inks-profile", 8, saved(cmyk, "JPEG", quality=95, subsampling=0, icc_profile=ink_profile())
    for seed in range(1, 7):
        yield f"png-shapes-{seed}", 0, saved(shapes(seed).quantize(32), "PNG")
    for seed in range(1, 4):
        yield f"gif-waves-{seed}", 0, saved(waves(seed), "GIF")
    yield "png-srgb-profile", 1, saved(rgb, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def shapes(seed):
    """Overlapping shapes in flat colours: enough to see for a hash, and little to store."""
    picture = Image.new("RGB", (150 + 7 * seed, 110), (40 * seed % 256, 90, 150))
    pen = ImageDraw.Draw(picture)
    for number in range(9):
        at = (seed * 37 + number * 53) % 130, (seed * 71 + number * 29) % 90
        size = 14 + (seed * 11 + number * 17) % 40
        colour = ((seed * 91 + number * 67) % 256, (number * 97) % 256, (seed * 13 + number * 41) % 256)
        corners = [at, (at[0] + size, at[1] + size)]
        pen.ellipse(corners, colour) if number % 2 else pen.rectangle(corners, colour)
    return picture


def waves(seed):
    picture = Image.new("L", (90, 120))
    picture.putdata([
        int(127 + 60 * math.sin((x + seed * y) / 9) + 60 * math.cos(y / (5 + seed)))
        for y in range(120) for x in range(90)
    ])
    return picture.quantize(16)


def read(file):
    picture = Image.open(io.BytesIO(file))
    picture.load()
    found = picture.info.get("icc_profile")
    picture = ImageOps.exif_transpose(picture)
    if found:
        srgb = ImageCms.createProfile("sRGB")
        picture = ImageCms.profileToProfile(picture, ImageCms.ImageCmsProfile(io.BytesIO(found)), srgb, outputMode="RGB")
    if picture.mode.startswith("I;16"):
        # Pillow would cut off what is above 255.
        picture = picture.point(lambda value: value * (1 / 257)).convert("L")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB")


def main():
    records = []
    for name, tolerance, file in files():
        picture = read(file)
        record = {"name": name, "tolerance": tolerance, "file": file.hex(), "width": picture.width, "height": picture.height}
        # The hashes of what is read exactly are those of what is read here.
        record["rgb"] = "" if name.startswith(("png-shapes", "gif-waves")) else picture.tobytes().hex()
        if tolerance == 0:
            record["phash"], record["dhash"] = str(imagehash.phash(picture)), str(imagehash.dhash(picture))
        records.append(record)
    json.dump(records, sys.stdout, indent=0)


main()
