#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the fixtures beside it: little pictures and what Pillow makes of them. Needs Pillow, numpy.

NAME.jpg or NAME.png is the picture; NAME.decoded.png, NAME.direct16.png, NAME.short20crop16.png and
NAME.nearest16.png are Pillow's results, columns resized before rows as every version before 13 does.
"""
import pathlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 45, 31


def picture():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 128 + 100 * np.sin(x / 5) * np.cos(y / 7)
    green = np.where((x // 9 + y // 6) % 2 == 0, 220, 30)
    blue = 4 * x + 2 * y
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


def bilinear(image, size):
    columns_first = image.resize((size[0], image.height), Image.Resampling.BILINEAR)
    return columns_first.resize(size, Image.Resampling.BILINEAR)


def results(path, name):
    with Image.open(path) as image:
        decoded = ImageOps.exif_transpose(image).convert("RGB")
    if decoded.width <= decoded.height:
        size = 20, int(20 * decoded.height / decoded.width)
    else:
        size = int(20 * decoded.width / decoded.height), 20
    direct = bilinear(decoded, (16, 16))
    short = bilinear(decoded, size)
    left, top = (int(round((side - 16) / 2.0)) for side in size)
    decoded.save(HERE / f"{name}.decoded.png", optimize=True)
    direct.save(HERE / f"{name}.direct16.png", optimize=True)
    short.crop((left, top, left + 16, top + 16)).save(HERE / f"{name}.short20crop16.png",
                                                      optimize=True)
    decoded.resize((16, 16), Image.Resampling.NEAREST).save(HERE / f"{name}.nearest16.png",
                                                            optimize=True)


def make(name, image, suffix="jpg", **options):
    path = HERE / f"{name}.{suffix}"
    image.save(path, **options)
    results(path, name)


def main():
    image = picture()
    make("baseline420", image, quality=85, subsampling=2)
    make("progressive422", image, quality=75, subsampling=1, progressive=True)
    make("gray", image.convert("L"))
    make("cmyk", image.convert("CMYK"), quality=80)
    exif = Image.Exif()
    exif[0x0112] = 6
    make("orientation6", image, exif=exif, quality=60)
    make("palette", image.quantize(16), "png", bits=4)
    deep = Image.fromarray((np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) // 3).astype(np.uint16))
    make("gray16", deep, "png")


if __name__ == "__main__":
    main()
