"""Files that a card, a network drive or a stranger may hold: each with what must become of it."""

import gzip
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

GOOD = "an answer"


def make_hostile(folder, count=200, seed=0):
    """Fill a folder with ``count`` odd files; return name -> `GOOD` or a word of its reason.

    The kinds repeat with other bytes, other places of the damage and other names.
    """
    rng = np.random.default_rng(seed)
    expected = {}
    for i in range(count):
        kind = KINDS[i % len(KINDS)]
        name = f"{i:03}-{kind.__name__}"
        made = kind(folder, name, rng)
        if made is not None:
            file, outcome = made
            expected[file] = outcome
    return expected


def picture(rng, size=(120, 90)):
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def encoded(image, format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def put(folder, name, data, outcome):
    (folder / name).write_bytes(data)
    return name, outcome


def truncated(folder, name, rng):
    data = encoded(picture(rng))
    end = int(rng.integers(len(data) // 3, len(data) - 30))
    return put(folder, f"{name}.jpg", data[:end], "damaged")


def empty(folder, name, rng):
    return put(folder, f"{name}.jpg", b"", "empty (0 bytes)")


def noise(folder, name, rng):
    return put(folder, f"{name}.png", b"\x00" + rng.bytes(500), "not an image")


def text(folder, name, rng):
    return put(folder, f"{name}.jpeg", b"<html>sign in to the Wi-Fi</html>", "not an image")


def chunk(kind, data):
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def png(width, height, body):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


def bomb(folder, name, rng):
    side = int(rng.integers(20_000, 60_000))
    return put(folder, f"{name}.png", png(side, side, bytes(1_000_000)), "megapixels")


def false_size(folder, name, rng):
    """Says that it is larger than its pixels are."""
    return put(folder, f"{name}.png", png(900, 900, bytes(1000)), "damaged")


def huge_jpeg(folder, name, rng):
    data = bytearray(encoded(picture(rng)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = (65_000).to_bytes(2) * 2
    return put(folder, f"{name}.jpg", bytes(data), "megapixels")


def zipped(folder, name, rng):
    return put(folder, f"{name}.jpg", gzip.compress(bytes(10_000_000)), "not an image")


def postscript(folder, name, rng):
    """Pillow would start another program for it."""
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n"
    return put(folder, f"{name}.jpg", data, "not an image")


def looping_link(folder, name, rng):
    (folder / f"{name}.jpg").symlink_to(folder / f"{name}.jpg")
    return f"{name}.jpg", "cannot be read"


def dangling_link(folder, name, rng):
    (folder / f"{name}.jpg").symlink_to(folder / "nowhere.jpg")
    return f"{name}.jpg", "no such file"


def climbing_link(folder, name, rng):
    (folder / name).symlink_to(folder)  # a folder that holds itself: no photo of its own


def pipe(folder, name, rng):
    os.mkfifo(folder / f"{name}.jpg")
    return f"{name}.jpg", "a pipe, a socket or a device"


def endless(folder, name, rng):
    (folder / f"{name}.jpg").symlink_to("/dev/zero")
    return f"{name}.jpg", "a pipe, a socket or a device"


def sparse(folder, name, rng):
    """A file that says it has a terabyte, and takes no room."""
    with (folder / f"{name}.jpg").open("wb") as file:
        file.truncate(10**12)
    return f"{name}.jpg", "1,000,000,000,000 bytes; expected at most"


def folder_called_photo(folder, name, rng):
    (folder / f"{name}.jpg").mkdir()  # a folder, not a photo: what is in it counts
    return put(folder, f"{name}.jpg/inside.jpg", encoded(picture(rng)), GOOD)


def locked(folder, name, rng):
    made = put(folder, f"{name}.jpg", encoded(picture(rng)), "cannot be read (Permission denied)")
    (folder / f"{name}.jpg").chmod(0)
    return made if os.geteuid() else (made[0], GOOD)  # root reads everything


def video_without_pictures(folder, name, rng):
    return put(folder, f"{name}.mp4", rng.bytes(300), "the video cannot be read")


def float_tiff(folder, name, rng):
    image = Image.fromarray(rng.normal(size=(9, 9)).astype(np.float32))
    return put(folder, f"{name}.tif", encoded(image, "TIFF"), "decimal numbers")


# --- odd, and still photos --------------------------------------------------------------------


def cmyk(folder, name, rng):
    return put(folder, f"{name}.jpg", encoded(picture(rng).convert("CMYK")), GOOD)


def sixteen_bits(folder, name, rng):
    image = Image.fromarray(rng.integers(0, 65_536, (40, 50)).astype(np.uint16))
    return put(folder, f"{name}.png", encoded(image, "PNG"), GOOD)


def wrong_suffix(folder, name, rng):
    return put(folder, f"{name}.png", encoded(picture(rng)), GOOD)


def animation(folder, name, rng):
    frames = [picture(rng) for _ in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    return put(folder, f"{name}.jpg", data, GOOD)


def new_line(folder, name, rng):
    return put(folder, f'{name}\n"two, lines".jpg', encoded(picture(rng)), GOOD)


def other_letters(folder, name, rng):
    return put(folder, f"{name}-лев-狮子-é-🦁.jpg", encoded(picture(rng)), GOOD)


def right_to_left(folder, name, rng):
    return put(folder, f"{name}-\u202egpj.exe.jpg", encoded(picture(rng)), GOOD)


def no_utf8(folder, name, rng):
    path = os.fsencode(folder / name) + b"-caf\xe9.jpg"
    with open(path, "wb") as file:
        file.write(encoded(picture(rng)))
    return f"{name}-caf\\xe9.jpg", GOOD


def one_pixel(folder, name, rng):
    return put(folder, f"{name}.png", encoded(picture(rng, (1, 1)), "PNG"), GOOD)


def thread(folder, name, rng):
    return put(folder, f"{name}.png", encoded(picture(rng, (3000, 1)), "PNG"), GOOD)


def broken_exif(folder, name, rng):
    data = encoded(picture(rng), exif=b"Exif\x00\x00II*\x00" + rng.bytes(60))
    return put(folder, f"{name}.jpg", data, GOOD)


def see_through(folder, name, rng):
    image = picture(rng).convert("RGBA")
    image.putalpha(90)
    return put(folder, f"{name}.webp", encoded(image, "WEBP"), GOOD)


def more_after_the_end(folder, name, rng):
    return put(folder, f"{name}.jpg", encoded(picture(rng)) + rng.bytes(400), GOOD)


KINDS = (
    truncated,
    empty,
    noise,
    text,
    bomb,
    false_size,
    huge_jpeg,
    zipped,
    postscript,
    looping_link,
    dangling_link,
    climbing_link,
    pipe,
    endless,
    sparse,
    folder_called_photo,
    locked,
    video_without_pictures,
    float_tiff,
    cmyk,
    sixteen_bits,
    wrong_suffix,
    animation,
    new_line,
    other_letters,
    right_to_left,
    no_utf8,
    one_pixel,
    thread,
    broken_exif,
    see_through,
    more_after_the_end,
)
