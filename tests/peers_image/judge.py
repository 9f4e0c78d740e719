#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares src/image with Pillow, byte by byte.

usage: judge.py PROGRAM [FOLDER ...] [--seed N] [--json FILE]

PROGRAM is the built `image_pixels`; every FOLDER's images are compared besides a generated set (odd
sizes, progressive, all subsamplings, gray, CMYK, the eight EXIF orientations, every kind of PNG).
"decode" compares decoded pixels, "whole" what becomes of a file, "resize" feeds our decoded pixels to
Pillow's resize, the columns in one call and the rows in a second: from version 13 on Pillow takes the
rows first when the height shrinks much more than the width, which moves some results by one grey
level; we, like older versions, never do. The exit status is 1 when "decode" or "resize" differ at all,
when "whole" differs by more than one grey level or when only one side takes a file.
Needs Pillow and numpy.
"""
import argparse
import collections
import io
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy as np
from PIL import Image, ImageOps, features

MODES = ["bilinear direct:224", "bilinear short:256,crop:224", "nearest direct:224",
         "nearest short:256,crop:224"]


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, what, path):
        self.process.stdin.write(f"{what}\t{path}\n".encode())
        self.process.stdin.flush()
        width, height = struct.unpack("<ii", self.process.stdout.read(8))
        if width < 0:
            raise OSError(self.process.stdout.read(height).decode())
        data = self.process.stdout.read(width * height * 3)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def pillow_decode(path):
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image) if image.format == "JPEG" else image
        return upright.convert("RGB")


def two_passes(image, size, method):
    return image.resize((size[0], image.height), method).resize(size, method)


def one_call(image, size, method):
    return image.resize(size, method)


def pillow_resize(image, mode, resize=one_call):
    name, _, geometry = mode.partition(" ")
    method = Image.Resampling.NEAREST if name == "nearest" else Image.Resampling.BILINEAR
    if geometry.startswith("direct:"):
        side = int(geometry[len("direct:"):])
        return resize(image, (side, side), method)
    short, _, crop = geometry[len("short:"):].partition(",crop:")
    short, crop = int(short), int(crop)
    width, height = image.size
    # torchvision: Resize(short), then CenterCrop(crop).
    if width <= height:
        size = short, int(short * height / width)
    else:
        size = int(short * width / height), short
    resized = resize(image, size, method)
    left = int(round((size[0] - crop) / 2.0))
    top = int(round((size[1] - crop) / 2.0))
    return resized.crop((left, top, left + crop, top + crop))


def picture(rng, width, height):
    """Smooth shapes with edges and a little noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    for _ in range(3):
        a, b, c = rng.uniform(0.01, 0.2, 3)
        plane = 127 + 70 * np.sin(a * x + c * y) + 50 * np.sign(np.sin(b * y - a * x))
        planes.append(plane + rng.normal(0, 8, (height, width)))
    return Image.fromarray(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8))


def png(width, height, depth, color, rows, interlace=0, extra=b""):
    """A PNG of packed rows: kinds which Pillow itself does not write."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    packed = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra
            + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b""))


def interlaced_png(pixels):
    """Adam7, 8-bit RGB."""
    height, width, _ = pixels.shape
    rows = []
    for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                           (0, 1, 2, 2), (1, 0, 2, 1)]:
        part = pixels[y0::dy, x0::dx]
        if part.size:
            rows += [row.tobytes() for row in part]
    return png(width, height, 8, 2, rows, interlace=1)


def generate(folder, seed):
    rng = np.random.default_rng(seed)

    def save(name, image, **options):
        image.save(folder / name, **options)

    sizes = [(1, 1), (2, 1), (1, 7), (3, 3), (5, 300), (300, 5), (17, 33), (223, 225), (224, 224),
             (256, 256), (257, 255), (333, 500), (500, 333), (641, 479), (1001, 77), (1600, 1200)]
    for width, height in sizes:
        image = picture(rng, width, height)
        for sub in (0, 1, 2):  # 4:4:4, 4:2:2, 4:2:0
            for progressive in (False, True):
                kind = "progressive" if progressive else "baseline"
                save(f"{width}x{height}-sub{sub}-{kind}.jpg", image, quality=85, subsampling=sub,
                     progressive=progressive)
        save(f"{width}x{height}.png", image)
        save(f"{width}x{height}-gray.jpg", image.convert("L"))
    image = picture(rng, 123, 78)
    for sub in ("4:4:0", "4:1:1"):
        try:
            save(f"sub{sub.replace(':', '')}.jpg", image, subsampling=sub)
        except (ValueError, TypeError, KeyError):
            pass  # this Pillow does not write it
    save("restart.jpg", image, restart_marker_rows=1)
    save("rgb.jpg", image, keep_rgb=True)
    save("optimized.jpg", image, optimize=True, quality=30)
    save("high.jpg", image, quality=100)
    cmyk = Image.fromarray(rng.integers(0, 256, (78, 123, 4), dtype=np.uint8), "CMYK")
    save("cmyk.jpg", cmyk)
    save("cmyk-smooth.jpg", image.convert("CMYK"), quality=90)
    save("cmyk-progressive.jpg", image.convert("CMYK"), progressive=True)
    for orientation in range(0, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"orientation{orientation}.jpg", image, exif=exif)
        save(f"orientation{orientation}-large.jpg", picture(rng, 500, 375), exif=exif)
    pixels = np.asarray(image)
    save("palette.png", image.quantize(200))
    save("palette16.png", image.quantize(16), bits=4)
    save("palette-transparent.png", image.quantize(64), transparency=3)
    save("rgba.png", Image.fromarray(np.dstack([pixels, pixels[..., 0]]), "RGBA"))
    save("gray-alpha.png", Image.fromarray(pixels[..., :2].copy(), "LA"))
    save("one-bit.png", image.convert("1"))
    save("rgb-transparent.png", image, transparency=(1, 2, 3))
    (folder / "interlaced.png").write_bytes(interlaced_png(pixels))
    for color, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        samples = rng.integers(0, 65536, (20, 30, channels)).astype(">u2")
        samples[:4] //= 300  # small values too: 16-bit gray is clipped, not scaled
        (folder / f"deep{color}.png").write_bytes(
            png(30, 20, 16, color, [row.tobytes() for row in samples]))
    for depth in (2, 4):
        rows = [rng.integers(0, 256, (30 * depth + 7) // 8, dtype=np.uint8).tobytes()
                for _ in range(20)]
        (folder / f"gray{depth}.png").write_bytes(png(30, 20, depth, 0, rows))
        colors = rng.integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes()
        extra = (struct.pack(">I", len(colors)) + b"PLTE" + colors
                 + struct.pack(">I", zlib.crc32(b"PLTE" + colors)))
        (folder / f"palette{depth}bit.png").write_bytes(png(30, 20, depth, 3, rows, extra=extra))
    whole = io.BytesIO()
    image.save(whole, "JPEG")
    (folder / "trailing-garbage.jpg").write_bytes(whole.getvalue() + b"garbage" * 100)
    (folder / "truncated.jpg").write_bytes(whole.getvalue()[:-500])
    (folder / "no-end.jpg").write_bytes(whole.getvalue()[:-2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "noise.jpg").write_bytes(rng.integers(0, 256, 1000, dtype=np.uint8).tobytes())


class Tally:
    def __init__(self):
        self.images = self.bytes = self.unequal = self.unequal_images = self.worst = 0
        self.worst_name = ""

    def add(self, name, ours, theirs):
        if ours.shape != theirs.shape:
            raise ValueError(f"{name}: shape {ours.shape}, Pillow {theirs.shape}")
        difference = np.abs(ours.astype(np.int16) - theirs)
        count = int(np.count_nonzero(difference))
        self.images += 1
        self.bytes += difference.size
        self.unequal += count
        self.unequal_images += count > 0
        if count and int(difference.max()) > self.worst:
            self.worst, self.worst_name = int(difference.max()), name


def judge(ours, paths):
    tallies = collections.defaultdict(Tally)
    disagreements, refused = [], 0
    for path in paths:
        try:
            theirs = pillow_decode(path)
        except Exception as error:  # Pillow raises many kinds
            theirs, reason = None, error
        try:
            decoded = ours("decode", path)
        except OSError as error:
            decoded, reason = None, error
        if (theirs is None) != (decoded is None):
            disagreements.append(f"{path.name}: only {'Pillow' if decoded is None else 'we'} "
                                 f"take it ({reason})")
            continue
        if theirs is None:
            refused += 1
            continue
        tallies["decode"].add(path.name, decoded, np.asarray(theirs))
        for mode in MODES:
            result = ours(mode, path)
            tallies["whole  " + mode].add(path.name, result, np.asarray(pillow_resize(theirs, mode)))
            again = pillow_resize(Image.fromarray(decoded), mode, two_passes)
            tallies["resize " + mode].add(path.name, result, np.asarray(again))
    return tallies, disagreements, refused


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    ours = Ours(options.program)
    report = {"pillow": Image.__version__, "libjpeg_turbo": features.version("libjpeg_turbo"),
              "seed": options.seed, "sets": {}}
    print(f"Pillow {report['pillow']} with libjpeg-turbo {report['libjpeg_turbo']}, "
          f"seed {options.seed}")
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        generated = pathlib.Path(scratch)
        generate(generated, options.seed)
        for folder in [generated, *options.folders]:
            label = "generated" if folder == generated else folder.name
            paths = sorted(p for p in folder.rglob("*")
                           if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
            tallies, disagreements, refused = judge(ours, paths)
            print(f"\n{label}: {len(paths)} files, refused by both {refused}, "
                  f"taken by one side only {len(disagreements)}")
            for line in disagreements:
                print("  " + line)
            for name, t in sorted(tallies.items()):
                print(f"  {name:36} images {t.images:5}  with a difference {t.unequal_images:4}  "
                      f"bytes unequal {100 * t.unequal / t.bytes:9.6f} %  largest {t.worst}"
                      + (f" ({t.worst_name})" if t.worst else ""))
            good = good and not disagreements and all(
                t.worst <= (1 if n.startswith("whole") else 0) for n, t in tallies.items())
            report["sets"][label] = {"files": len(paths), "disagreements": disagreements, "results": {
                n: {"images": t.images, "unequal_images": t.unequal_images,
                    "unequal_share": t.unequal / t.bytes, "largest": t.worst}
                for n, t in sorted(tallies.items())}}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
