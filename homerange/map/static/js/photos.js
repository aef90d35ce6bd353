// From a photo to the pixels of the network: homerange/data/images.py, in the browser.
// The resizing is Pillow's, number for number. The browser decodes a JPEG in full, where the runner
// decodes it smaller; that is done here on the pixels, block by block, with the same transform.

const COEFFICIENT_BITS = 22;
const BLOCK = 8;
const BICUBIC_A = -0.5;

/**
 * Pixels of a photo as the network takes them.
 *
 * @param file The photo.
 * @param preprocessing As in world.json.
 * @returns RGB bytes, input_px * input_px * 3.
 */
export async function prepare(file, preprocessing) {
  const decoded = await decode(file);
  const resizePx = resizeOf(preprocessing);
  const small = isJpeg(file) ? shrinkAsJpeg(decoded, resizePx) : decoded;
  return fitPixels(small, preprocessing, resizePx);
}

function resizeOf({ input_px: px, crop_fraction: fraction, fit }) {
  return fit === "squash" ? px : roundHalfEven(px / fraction);
}

/** As Python rounds. */
function roundHalfEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

function isJpeg(file) {
  return file.type === "image/jpeg" || /\.jpe?g$/i.test(file.name);
}

/** Upright RGB pixels; what is transparent becomes white. */
async function decode(file) {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8Array(width * height * 3);
  for (let p = 0, q = 0; q < rgb.length; p += 4, q += 3) {
    rgb[q] = data[p];
    rgb[q + 1] = data[p + 1];
    rgb[q + 2] = data[p + 2];
  }
  return { rgb, width, height };
}

/** What a JPEG decoder gives when it is asked for a smaller photo: 1/2, 3/8, 1/4 or 1/8. */
function shrinkAsJpeg(photo, shortPx) {
  const { width, height } = photo;
  const wanted = Math.min(shortPx, width, height);
  const kept = [1, 2, 3, 4].find(
    (n) => Math.ceil((width * n) / BLOCK) >= wanted && Math.ceil((height * n) / BLOCK) >= wanted,
  );
  return kept ? shrinkBlocks(photo, kept) : photo;
}

/** Keep the n lowest of 8 frequencies of each block, along rows and then along columns. */
export function shrinkBlocks({ rgb, width, height }, n) {
  const weights = lowFrequencies(n);
  const [outWidth, outHeight] = [Math.ceil((width * n) / BLOCK), Math.ceil((height * n) / BLOCK)];
  const rows = new Float32Array(outWidth * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < outWidth; x += 1) {
      const first = Math.floor(x / n) * BLOCK;
      const own = weights[x % n];
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let k = 0; k < BLOCK; k += 1) {
          sum += own[k] * rgb[3 * (y * width + Math.min(first + k, width - 1)) + c];
        }
        rows[3 * (y * outWidth + x) + c] = sum;
      }
    }
  }
  const small = new Uint8ClampedArray(outWidth * outHeight * 3);
  const stride = 3 * outWidth;
  for (let y = 0; y < outHeight; y += 1) {
    const first = Math.floor(y / n) * BLOCK;
    const own = weights[y % n];
    for (let i = 0; i < stride; i += 1) {
      let sum = 0;
      for (let k = 0; k < BLOCK; k += 1) sum += own[k] * rows[Math.min(first + k, height - 1) * stride + i];
      small[y * stride + i] = sum; // a clamped array rounds
    }
  }
  return { rgb: small, width: outWidth, height: outHeight };
}

/** Of 8 numbers to n: cosine transform, its n lowest frequencies, and back with n cosines. */
function lowFrequencies(n) {
  const basis = (f, k, size) => Math.sqrt((f ? 2 : 1) / size) * Math.cos((Math.PI * (2 * k + 1) * f) / (2 * size));
  return Array.from({ length: n }, (_, j) =>
    Array.from({ length: BLOCK }, (_unused, k) => {
      let sum = 0;
      for (let f = 0; f < n; f += 1) sum += basis(f, j, n) * basis(f, k, BLOCK);
      return Math.sqrt(n / BLOCK) * sum;
    }),
  );
}

/** Crop and resize (bicubic, antialiased), as Pillow's Image.resize does with a box. */
export function fitPixels({ rgb, width, height }, { input_px: px, fit }, resizePx) {
  let box = [0, 0, width, height];
  if (fit === "crop") {
    const side = (Math.min(height, width) * px) / resizePx;
    const [left, top] = [(width - side) / 2, (height - side) / 2];
    box = [left, top, left + side, top + side];
  }
  const across = coefficients(width, box[0], box[2], px);
  const down = coefficients(height, box[1], box[3], px);
  const rows = new Uint8ClampedArray(px * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < px; x += 1) {
      weigh(rgb, across[x], 3 * y * width, 3, rows, 3 * (y * px + x));
    }
  }
  const out = new Uint8ClampedArray(px * px * 3);
  for (let y = 0; y < px; y += 1) {
    for (let x = 0; x < px; x += 1) weigh(rows, down[y], 3 * x, 3 * px, out, 3 * (y * px + x));
  }
  return new Uint8Array(out.buffer);
}

function weigh(from, { first, weights }, start, stride, to, at) {
  for (let c = 0; c < 3; c += 1) {
    let sum = 2 ** (COEFFICIENT_BITS - 1);
    for (let k = 0; k < weights.length; k += 1) sum += weights[k] * from[start + (first + k) * stride + c];
    to[at + c] = Math.floor(sum / 2 ** COEFFICIENT_BITS);
  }
}

/** For each pixel of the result, which it is made of and with what whole weights. */
function coefficients(inSize, start, end, outSize) {
  const scale = (end - start) / outSize;
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  return Array.from({ length: outSize }, (_, x) => {
    const centre = start + (x + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), inSize);
    const raw = Array.from({ length: last - first }, (_unused, k) => bicubic((k + first - centre + 0.5) / filterScale));
    const sum = raw.reduce((a, b) => a + b, 0);
    const weights = raw.map((w) => {
      const scaled = (w / sum) * 2 ** COEFFICIENT_BITS;
      return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    });
    return { first, weights };
  });
}

function bicubic(value) {
  const x = Math.abs(value);
  if (x < 1) return ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * BICUBIC_A;
  return 0;
}
