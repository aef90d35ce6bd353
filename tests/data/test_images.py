"""Photos of every kind become the same upright RGB square, or an error that says why not."""

import os
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from zlib import crc32

import numpy as np
import pytest
from PIL import Image, ImageOps

from homerange.data.images import Preprocessing, fit, prepare, read_rgb
from homerange.errors import ConfigError, ImageError

SMALL = Preprocessing(input_px=32, crop_fraction=1.0)


def encoded(image, kind="JPEG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width, height, seed=0):
    """A smooth random picture: it survives JPEG, and each of its corners is different."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def plain(colour, size=(40, 30), mode="RGB"):
    return Image.new(mode, size, colour)


def mean_difference(a, b):
    return np.abs(a.astype(float) - b.astype(float)).mean()


# --- size ---------------------------------------------------------------------------------------


def test_crop_equals_resizing_the_short_side_and_cutting_out_the_centre():
    # 112 / 0.875 = 128. A photo of 384 x 256 becomes 192 x 128; its centre starts at
    # (192 - 112) / 2 = 40 and (128 - 112) / 2 = 8.
    photo = scene(384, 256)
    want = photo.resize((192, 128), Image.Resampling.BICUBIC).crop((40, 8, 152, 120))
    got = fit(np.asarray(photo), Preprocessing(input_px=112, crop_fraction=0.875))
    np.testing.assert_array_equal(got, np.asarray(want))


def test_squash_keeps_the_whole_photo():
    photo = scene(300, 200)
    want = np.asarray(photo.resize((64, 64), Image.Resampling.BICUBIC))
    got = fit(np.asarray(photo), Preprocessing(input_px=64, fit="squash"))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("fit_name", ["crop", "squash"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5), (5000, 40)])
def test_tiny_photos_and_extreme_shapes_work(size, fit_name):
    rgb = prepare(encoded(plain("teal", size), "PNG"), Preprocessing(input_px=48, fit=fit_name))
    assert rgb.shape == (48, 48, 3)
    assert (rgb == (0, 128, 128)).all()


@pytest.mark.parametrize("at_least_px", [1, 30, 63, 64, 65, 200, 320, 321, 700, 5000])
@pytest.mark.parametrize("size", [(1000, 640), (640, 1000), (333, 777)])
def test_a_scaled_jpeg_is_never_smaller_than_asked_unless_the_photo_is(size, at_least_px):
    rgb = read_rgb(encoded(scene(*size)), at_least_px=at_least_px)
    short = min(rgb.shape[:2])
    assert min(size) >= short >= min(at_least_px, min(size))
    assert rgb.shape[1] / rgb.shape[0] == pytest.approx(size[0] / size[1], rel=0.02)


def test_a_scaled_jpeg_is_smaller_when_little_is_asked():
    # 640 / 8 = 80 is the smallest size of at least 70.
    assert read_rgb(encoded(scene(1000, 640)), at_least_px=70).shape == (80, 125, 3)
    assert read_rgb(encoded(scene(1000, 640))).shape == (640, 1000, 3)


def test_a_cmyk_jpeg_is_scaled_too():
    data = encoded(scene(1000, 640).convert("CMYK"))
    assert read_rgb(data, at_least_px=70).shape == (80, 125, 3)


@pytest.mark.parametrize("fit_name", ["crop", "squash"])
def test_preparing_a_jpeg_gives_what_a_full_decode_gives(fit_name):
    data = encoded(scene(2304, 1296), quality=95)
    preprocessing = Preprocessing(fit=fit_name)
    slow = fit(np.array(Image.open(BytesIO(data)).convert("RGB")), preprocessing)
    assert mean_difference(prepare(data, preprocessing), slow) < 1.0


def test_the_result_can_be_written_to_and_is_contiguous():
    for rgb in (
        prepare(encoded(scene(90, 60)), SMALL),
        read_rgb(encoded(scene(90, 60))),
        read_rgb(encoded(scene(90, 60), "PNG")),
        read_rgb(turned(6, "JPEG")),
    ):
        assert rgb.flags.writeable
        assert rgb.flags.c_contiguous
        assert rgb.dtype == np.uint8


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    data = encoded(scene(90, 60))
    path = tmp_path / "Löwe 1.JPG"
    path.write_bytes(data)
    np.testing.assert_array_equal(prepare(path, SMALL), prepare(data, SMALL))


# --- orientation --------------------------------------------------------------------------------


def turned(orientation, kind, size=(96, 64)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    return encoded(scene(*size), kind, exif=exif, **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright_as_pillow_has_it(orientation, kind):
    data = turned(orientation, kind)
    image = Image.open(BytesIO(data))
    image.load()
    want = np.asarray(ImageOps.exif_transpose(image))
    got = read_rgb(data)
    assert got.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))
    assert mean_difference(got, want) < 1.0


def test_orientation_6_turns_the_left_edge_up():
    # EXIF 6: row 0 of the file is the right-hand side of the scene, so its left edge is the top.
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, :48] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb = read_rgb(encoded(Image.fromarray(pixels), exif=exif))
    assert rgb.shape == (96, 64, 3)
    assert rgb[10, 32, 0] > 240
    assert rgb[85, 32, 0] < 15


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_belongs_to_the_upright_photo(orientation):
    data = turned(orientation, "JPEG", size=(960, 640))
    upright = read_rgb(data)
    height, width = upright.shape[:2]
    box = upright[: height // 4, width // 2 :]
    got = prepare(data, SMALL, bbox=(0.5, 0.0, 0.5, 0.25))
    assert mean_difference(got, fit(box, SMALL)) < 1.5


def test_an_orientation_that_is_no_number_is_none():
    data = turned(6, "JPEG")
    tag = b"\x01\x12\x00\x03" if b"MM\0*" in data[:64] else b"\x12\x01\x03\x00"
    text = tag.replace(b"\x03", b"\x02")  # type 2: text
    assert tag in data
    assert read_rgb(data.replace(tag, text)).shape == (64, 96, 3)


def test_exif_that_cannot_be_parsed_is_no_orientation_and_no_warning():
    good = turned(6, "JPEG")
    at = good.index(b"Exif\0\0") + 10
    broken = good[:at] + struct.pack(">L", 0x7FFFFFF0) + good[at + 4 :]
    assert read_rgb(broken).shape == (64, 96, 3)


# --- kinds of pixels ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "want"),
    [
        ("1", 1, "PNG", (255, 255, 255)),
        ("L", 77, "PNG", (77, 77, 77)),
        ("L", 77, "JPEG", (77, 77, 77)),
        ("RGB", (10, 200, 90), "WEBP", (10, 200, 90)),
        ("RGB", (10, 200, 90), "BMP", (10, 200, 90)),
        ("RGBA", (10, 200, 90, 255), "PNG", (10, 200, 90)),
        ("RGBA", (10, 200, 90, 0), "PNG", (255, 255, 255)),
        # 60 % white and 40 % of the colour: 255 * 0.6 + (10, 200, 90) * 0.4
        ("RGBA", (10, 200, 90, 102), "PNG", (157, 233, 189)),
        ("LA", (100, 255), "PNG", (100, 100, 100)),
        ("LA", (100, 0), "PNG", (255, 255, 255)),
        # No printing black: 255 - ink.
        ("CMYK", (255, 0, 55, 0), "TIFF", (0, 255, 200)),
        ("CMYK", (255, 0, 55, 0), "JPEG", (0, 255, 200)),
        ("YCbCr", (120, 128, 128), "TIFF", (120, 120, 120)),
        # 16 bits: 32896 = 128 * 257, 65535 = 255 * 257; clipping would give 255 for both.
        ("I;16", 32896, "PNG", (128, 128, 128)),
        ("I;16", 65535, "PNG", (255, 255, 255)),
        ("I;16", 32896, "TIFF", (128, 128, 128)),
        ("I;16B", 32896, "TIFF", (128, 128, 128)),
        ("I", 32896, "PPM", (128, 128, 128)),
        # 32 bits: 0x40000000 is a quarter of the range, 256 / 4 = 64.
        ("I", 0x40000000, "TIFF", (64, 64, 64)),
    ],
)
def test_every_mode_becomes_rgb(mode, colour, kind, want):
    rgb = read_rgb(encoded(plain(colour, mode=mode), kind))
    assert rgb.shape == (30, 40, 3)
    assert np.abs(rgb.astype(int) - want).max() <= {"JPEG": 3, "WEBP": 5}.get(kind, 1)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_keeps_its_colours_and_its_transparent_colour_is_white(kind):
    image = plain(0, mode="P")
    image.putpalette([200, 30, 40, 0, 90, 180])
    image.paste(1, (0, 0, 20, 30))
    rgb = read_rgb(encoded(image, kind, transparency=1))
    assert tuple(rgb[5, 35]) == (200, 30, 40)
    assert tuple(rgb[5, 5]) == (255, 255, 255)


def test_a_palette_with_an_alpha_for_each_colour_works():
    image = plain(0, mode="P")
    image.putpalette([200, 30, 40, 0, 90, 180])
    rgb = read_rgb(encoded(image, "PNG", transparency=bytes([0, 255])))
    assert (rgb == 255).all()


def test_ycck_as_printers_write_it_is_read():
    # Byte 11 of the Adobe segment says how the four channels are coded: 2 = YCCK. Pillow stores
    # 255 - ink, here (Y, Cb, Cr, K) = (100, 128, 128, 255): grey 100, which the decoder turns into
    # ink 255 - 100 = 155, inverted again as Adobe does: ink 100, no black, so light 255 - 100.
    stored = plain((255 - 100, 255 - 128, 255 - 128, 0), mode="CMYK")
    data = bytearray(encoded(stored, quality=100))
    data[data.index(b"Adobe") + 11] = 2
    assert np.abs(read_rgb(bytes(data)).astype(int) - 155).max() <= 2


def test_decimal_pixels_are_refused_because_their_range_is_unknown():
    with pytest.raises(ImageError, match=r"decimal numbers of unknown range; save it with 8 or 16"):
        read_rgb(encoded(plain(0.5, mode="F"), "TIFF"))


# --- photos that cannot be read -----------------------------------------------------------------


@pytest.mark.parametrize("at_least_px", [None, 20])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_jpeg_is_an_error_and_not_a_half_grey_picture(part, progressive, at_least_px):
    data = encoded(scene(640, 480), progressive=progressive, quality=90)
    with pytest.raises(ImageError, match=r"photo of [\d,]+ bytes: the image is damaged"):
        read_rgb(data[: int(len(data) * part)], at_least_px=at_least_px)


@pytest.mark.parametrize("tail", [b"\xff\xd9", bytes(9000)])
def test_a_truncated_jpeg_with_an_end_marker_or_zeros_is_an_error_too(tail):
    data = encoded(scene(640, 480), quality=90)
    with pytest.raises(ImageError, match=r"damaged \(ValueError: .*[Pp]remature end"):
        read_rgb(data[: len(data) // 2] + tail)


def test_a_truncated_cmyk_jpeg_is_an_error():
    data = encoded(scene(640, 480).convert("CMYK"))
    with pytest.raises(ImageError, match="the image is damaged"):
        read_rgb(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "WEBP", "BMP"])
def test_other_truncated_formats_are_errors(kind):
    data = encoded(scene(640, 480), kind)
    with pytest.raises(ImageError, match=r"damaged|not an image"):
        read_rgb(data[: len(data) // 2])


def test_bytes_after_the_end_do_no_harm():
    data = encoded(scene(64, 48))
    np.testing.assert_array_equal(read_rgb(data + b"maker's notes"), read_rgb(data))


def test_extraneous_bytes_inside_a_jpeg_do_no_harm():
    data = encoded(scene(64, 48))
    end = data.rindex(b"\xff\xd9")
    padded = data[:end] + bytes(20) + data[end:]
    assert mean_difference(read_rgb(padded), read_rgb(data)) < 1.0
    # 48 / 2 = 24 is the smallest size of at least 20; here Pillow decodes, scaled as well.
    assert read_rgb(padded, at_least_px=20).shape == (24, 32, 3)


def test_random_damage_is_either_readable_or_an_image_error():
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP"):
        good = encoded(scene(60, 40), kind)
        for _ in range(60):
            bad = bytearray(good)
            for at in rng.integers(0, len(bad), 4):
                bad[at] = rng.integers(0, 256)
            with suppress(ImageError):
                assert prepare(bytes(bad), SMALL).shape == (32, 32, 3)


def test_files_that_are_no_photo_say_what_they_are(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.jpg").write_text("camera 7 was stolen")
    for path, reason in {
        tmp_path / "empty.jpg": r"empty.jpg: the file is empty \(0 bytes\)",
        tmp_path / "notes.jpg": r"notes.jpg: this is not an image; it begins with b'camera 7', exp",
        tmp_path / "gone.jpg": "gone.jpg: there is no such file",
        tmp_path: "this is a folder, expected a photo",
        tmp_path / ("x" * 300): r"the file cannot be read \(File name too long\)",
    }.items():
        with pytest.raises(ImageError, match=reason):
            read_rgb(path)


def test_formats_that_start_other_programs_are_not_opened():
    with pytest.raises(ImageError, match="this is not an image"):
        read_rgb(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n" * 20)


def claiming(kind, width, height):
    """A small file whose header promises a huge picture."""
    data = bytearray(encoded(scene(16, 16).convert("L"), kind))
    if kind == "PNG":
        data[16:24] = struct.pack(">LL", width, height)
        data[29:33] = struct.pack(">L", crc32(data[12:29]))
    else:
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_more_than_200_megapixels_are_refused_from_the_header(kind):
    with pytest.raises(ImageError, match=r"more than 200 megapixels .*200020000 pixels"):
        read_rgb(claiming(kind, 20002, 10000), at_least_px=100)


def test_a_phone_photo_of_199_megapixels_is_not_refused_for_its_size():
    # Pillow alone refuses above 179. This file only promises so many, hence "damaged".
    with pytest.raises(ImageError, match="damaged"):
        read_rgb(claiming("PNG", 16320, 12240))


def test_many_threads_leave_the_settings_of_the_process_as_they_were(monkeypatch):
    good = turned(6, "JPEG")
    at = good.index(b"Exif\0\0") + 10
    noisy = good[:at] + struct.pack(">L", 0x7FFFFFF0) + good[at + 4 :]  # makes Pillow warn
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345_678)
    before = (12_345_678, list(warnings.filters))
    with ThreadPoolExecutor(8) as pool:
        shapes = {rgb.shape for rgb in pool.map(read_rgb, [noisy, good] * 100)}
    assert shapes == {(64, 96, 3), (96, 64, 3)}
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


# --- boxes --------------------------------------------------------------------------------------


def test_a_box_is_cut_out_in_whole_pixels():
    # A photo of 100 x 50: left 0.25 -> 25, right 0.75 -> 75, top 0.1 -> 5, bottom 0.3 -> 15.
    photo = np.asarray(scene(100, 50))
    got = prepare(encoded(scene(100, 50), "PNG"), SMALL, bbox=(0.25, 0.1, 0.5, 0.2))
    np.testing.assert_array_equal(got, fit(photo[5:15, 25:75], SMALL))


def test_a_box_smaller_than_a_pixel_is_that_pixel():
    photo = np.asarray(scene(20, 10))
    data = encoded(scene(20, 10), "PNG")
    for bbox in ((0.51, 0.99, 0.001, 0.01), (0.5, 0.9, 1e-9, 1e-9)):
        assert (prepare(data, SMALL, bbox=bbox) == photo[9, 10]).all()


def test_a_small_box_in_a_big_jpeg_keeps_its_detail():
    # Stripes 4 px wide inside the box vanish when the photo is decoded at 1/8.
    pixels = np.full((1200, 1600, 3), 128, np.uint8)
    pixels[300:396, 800:896] = np.where(np.arange(96) // 4 % 2, 255, 0)[None, :, None]
    rgb = prepare(
        encoded(Image.fromarray(pixels), quality=95),
        Preprocessing(input_px=96, fit="squash"),
        bbox=(0.5, 0.25, 0.06, 0.08),
    )
    assert rgb.std() > 100


def test_a_small_box_in_a_turned_jpeg_keeps_its_detail():
    # Upright the photo is 1200 x 4800 and the box 96 x 2400: its shorter side is the width.
    pixels = np.full((1200, 4800, 3), 128, np.uint8)
    pixels[600:696] = np.where(np.arange(96) // 4 % 2, 255, 0)[:, None, None]
    exif = Image.Exif()
    exif[0x0112] = 6  # row y of the file is column 1199 - y upright
    data = encoded(Image.fromarray(pixels), quality=95, exif=exif)
    bbox = ((1200 - 696) / 1200, 0.2, 96 / 1200, 0.5)
    rgb = prepare(data, Preprocessing(input_px=96, fit="squash"), bbox=bbox)
    assert rgb.std() > 100


def test_a_box_that_sticks_out_by_rounding_is_cut_at_the_edge():
    data = encoded(scene(64, 48), "PNG")
    want = prepare(data, SMALL)
    np.testing.assert_array_equal(prepare(data, SMALL, bbox=(-0.001, 0, 1.002, 1.004)), want)


@pytest.mark.parametrize("bbox", [(0.1, 0.1, 0, 0.5), (0.1, 0.1, 0.5, -0.1), (0, 0, np.nan, 1)])
def test_a_box_without_area_is_refused(bbox):
    with pytest.raises(ImageError, match=r"the box \(.*\) has no area; expected a width"):
        prepare(encoded(scene(64, 48)), SMALL, bbox=bbox)


@pytest.mark.parametrize("bbox", [(1.2, 0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.1), (10, 20, 300, 200)])
def test_a_box_outside_the_photo_is_refused(bbox):
    with pytest.raises(ImageError, match=r"reaches outside the photo; expected left, top, width"):
        prepare(encoded(scene(64, 48)), SMALL, bbox=bbox)


# --- settings -----------------------------------------------------------------------------------


def test_settings_survive_json():
    settings = Preprocessing(input_px=160, fit="squash", crop_fraction=1.0)
    assert Preprocessing.from_json(settings.to_json()) == settings


def test_the_shorter_side_is_resized_to_input_px_over_crop_fraction():
    assert Preprocessing().resize_px == 252  # 224 / 0.888 = 252.25
    assert Preprocessing(fit="squash").resize_px == 224


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_px": 0}, r"preprocessing.input_px is 0; expected a whole number, 1 to 4096"),
        ({"input_px": 22.5}, r"preprocessing.input_px is 22.5"),
        ({"fit": "pad"}, r"preprocessing.fit is 'pad'; expected 'crop' or 'squash'"),
        ({"crop_fraction": 0}, r"preprocessing.crop_fraction is 0; expected above 0, up to 1"),
        ({"crop_fraction": "1"}, r"preprocessing.crop_fraction is '1'"),
        ({"decoder": "opencv"}, r"preprocessing.decoder is 'opencv'; this version only has 'simp"),
        ({"input_size": 224}, r"preprocessing.input_size is not a setting; did you mean input_px"),
    ],
)
def test_settings_that_cannot_work_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Preprocessing.from_json(Preprocessing().to_json() | change)


def test_missing_settings_are_named():
    with pytest.raises(ConfigError, match="lacks fit, crop_fraction, decoder; found input_px"):
        Preprocessing.from_json({"input_px": 224})


def test_reading_photos_needs_only_the_base_install():
    code = (
        "import sys, homerange.data.images;"
        "sys.exit(bool({'torch', 'pyarrow', 'duckdb', 'onnx', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_package_that_lets_pillow_take_truncated_files_does_not_change_ours(monkeypatch):
    from PIL import ImageFile

    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).save(
        buffer, "PNG"
    )
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError, match="damaged"):
        read_rgb(buffer.getvalue()[:5000])
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="this is a pipe, a socket or a device, expected a photo"):
        read_rgb(tmp_path / "a.jpg")
