"""Histograms of HdrHistogram's V2 form: read, added up, asked. Knows nothing of what was measured.

Source of the form: https://github.com/HdrHistogram/HdrHistogram (V2 encoding, not compressed).
"""

import base64
import struct

COOKIE_V2 = 0x1C849303 & ~0xF0
HEADER = struct.Struct(">iiiiqqd")
# Where a curve has its points: the share of calls that took longer.
TAIL_SHARES = [1 - share for share in (0, 0.25, 0.5, 0.75)] + [
    factor * 10**-power for power in range(1, 8) for factor in (1, 0.5, 0.25)
]


class Histogram:
    """Counts by the highest value of each bucket."""

    def __init__(self):
        self.counts = {}
        self.total = 0

    def add(self, text):
        """What logpump-load writes as `hdr_v2_base64`."""
        data = base64.b64decode(text)
        cookie, length, _offset, digits, _least, _most, _ratio = HEADER.unpack_from(data)
        if cookie & ~0xF0 != COOKIE_V2:
            raise ValueError(f"no histogram of V2: cookie {cookie:#x}")
        index = 0
        for number in zigzags(data[HEADER.size : HEADER.size + length]):
            if number < 0:
                index -= number
                continue
            if number > 0:
                value = highest_value(index, digits)
                self.counts[value] = self.counts.get(value, 0) + number
                self.total += number
            index += 1

    def at(self, shares):
        """The values that so large a share of all is at most, for shares in rising order."""
        values, seen = [], 0
        rising = iter(sorted(self.counts.items()))
        value = 0
        for share in shares:
            while seen == 0 or seen < share * self.total:
                value, count = next(rising)
                seen += count
            values.append(value)
        return values

    def summary_us(self):
        names = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999, "max": 1}
        return {f"write_{name}_us": ns / 1000 for name, ns in zip(names, self.at(names.values()))}

    def curve(self):
        """[share that took longer, microseconds], as far as the count of calls can tell; the last is the longest call's."""
        shares = [share for share in TAIL_SHARES if share * self.total > 1] + [1 / self.total]
        asked = [1 - share for share in shares[:-1]] + [1]
        return [[share, ns / 1000] for share, ns in zip(shares, self.at(asked))]


def zigzags(data):
    """Numbers in LEB128 of at most 9 bytes, the ninth with all its 8 bits; the lowest bit is the sign."""
    at = 0
    while at < len(data):
        number = 0
        for place in range(9):
            byte = data[at]
            at += 1
            number |= (byte if place == 8 else byte & 0x7F) << (7 * place)
            if byte < 0x80:
                break
        yield (number >> 1) ^ -(number & 1)


def highest_value(index, digits):
    """The highest value of a bucket, whose unit is 1."""
    sub_bucket_bits = (2 * 10**digits - 1).bit_length()
    half = 1 << (sub_bucket_bits - 1)
    bucket = (index >> (sub_bucket_bits - 1)) - 1
    sub_bucket = (index & (half - 1)) + half
    if bucket < 0:
        bucket, sub_bucket = 0, sub_bucket - half
    return ((sub_bucket + 1) << bucket) - 1
