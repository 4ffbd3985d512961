"""An encoder of JPEG lossless (ITU-T T.81, annex H), for what no installable one writes: every predictor, and restarts."""

import struct

import numpy as np


def predictions(values, bits, predictor, restart_rows):
    """What each sample is predicted to be."""
    v = values.astype(np.int64)
    left, up, corner = np.zeros_like(v), np.zeros_like(v), np.zeros_like(v)
    left[:, 1:], up[1:], corner[1:, 1:] = v[:, :-1], v[:-1], v[:-1, :-1]
    prediction = [None, left, up, corner, left + up - corner, left + ((up - corner) >> 1), up + ((left - corner) >> 1), (left + up) >> 1][predictor].copy()
    prediction[:, 0] = up[:, 0]
    first = np.arange(v.shape[0]) % (restart_rows or v.shape[0]) == 0
    prediction[first] = left[first]
    prediction[first, 0] = 1 << (bits - 1)
    return prediction


def encode(values, bits, predictor, restart_rows=0):
    """One image, with a table in which categories 0 to 16 have codes of 2 to 16 bits."""
    differences = (values.astype(np.int64) - predictions(values, bits, predictor, restart_rows)) & 0xFFFF
    differences = np.where(differences > 32768, differences - 65536, differences)
    # Lengths 2, 3, 3, 4, 5, 6, ...: a full prefix code but for the word of ones.
    order = [16, 7, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15]
    lengths = [2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    codes, word, before = {}, 0, lengths[0]
    for category, length in zip(order, lengths):
        word <<= length - before
        codes[category] = format(word, f"0{length}b")
        word, before = word + 1, length
    counts = bytes(lengths.count(length) for length in range(1, 17))
    out = bytearray(b"\xff\xd8")

    def segment(marker, content):
        out.extend(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content)

    rows, columns = values.shape
    segment(0xFE, b"a comment")
    segment(0xC3, struct.pack(">BHHB", bits, rows, columns, 1) + b"\x01\x11\x00")
    segment(0xC4, b"\x00" + counts + bytes(order))
    if restart_rows:
        segment(0xDD, struct.pack(">H", restart_rows * columns))
    segment(0xDA, b"\x01\x01\x00" + bytes([predictor, 0, 0]))
    step = restart_rows or rows
    for number, start in enumerate(range(0, rows, step)):
        if number:
            out.extend([0xFF, 0xD0 + (number - 1) % 8])
        words = []
        for difference in differences[start : start + step].ravel().tolist():
            category = abs(difference).bit_length()
            words.append(codes[category])
            if 0 < category < 16:
                extra = difference if difference > 0 else difference + (1 << category) - 1
                words.append(format(extra, f"0{category}b"))
        text = "".join(words)
        text += "1" * (-len(text) % 8)
        out.extend(int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00"))
    out.extend(b"\xff\xd9")
    return bytes(out)
