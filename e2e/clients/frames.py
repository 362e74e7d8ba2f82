# Reads files of DICOM as pydicom does: python3 frames.py FILE... prints a line of JSON for each, with the SHA-256 of
# every frame as /frames shall send it: encapsulated ones as their stream, native ones in little endian order,
# single bits from a byte boundary on. A file that pydicom reads no frames of has "why".
import hashlib
import json
import sys
import warnings

import numpy
import pydicom
from pydicom.encaps import generate_pixel_data_frame, get_frame_offsets

warnings.simplefilter("ignore")


def encapsulated(ds, count):
    value = ds.PixelData
    if ds.get("ExtendedOffsetTable"):
        at = pydicom.filebase.DicomBytesIO(value)
        at.is_little_endian = True
        get_frame_offsets(at)  # skips the basic table
        start = at.tell()
        offsets = numpy.frombuffer(ds.ExtendedOffsetTable, "<u8")
        lengths = numpy.frombuffer(ds.ExtendedOffsetTableLengths, "<u8")
        return [value[start + o + 8:start + o + 8 + n] for o, n in zip(offsets.tolist(), lengths.tolist())]
    return list(generate_pixel_data_frame(value, count))


def native(ds, element, count):
    value = element.value
    if not ds.is_little_endian:
        word = {"OW": 2, "OF": 4, "OD": 8}.get(element.VR, 1)
        value = numpy.frombuffer(value[:len(value) // word * word], f">u{word}").astype(f"<u{word}").tobytes()
    bits = ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated
    if ds.SamplesPerPixel == 3 and ds.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits // 3 * 2  # two pixels share their colour
    if bits % 8 == 0:
        size = bits // 8
        frames = [value[i * size:(i + 1) * size] for i in range(count)]
    else:
        size = -(-bits // 8)
        all_bits = numpy.unpackbits(numpy.frombuffer(value, "u1"), bitorder="little")
        frames = [numpy.packbits(all_bits[i * bits:(i + 1) * bits], bitorder="little").tobytes() for i in range(count)]
    if any(len(f) != size for f in frames):
        raise ValueError("the value is shorter than its frames")
    return frames


def read(path):
    ds = pydicom.dcmread(path, force=True)
    count = int(ds.get("NumberOfFrames") or 1)
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in ds:
            if ds[keyword].is_undefined_length:  # newer syntaxes are none to pydicom 2.3
                frames = encapsulated(ds, count)
            else:
                frames = native(ds, ds[keyword], count)
            if len(frames) != count:
                raise ValueError(f"{len(frames)} frames, Number of Frames says {count}")
            return frames
    raise ValueError("no pixels")


for path in sys.argv[1:]:
    line = {"file": path}
    try:
        line["frames"] = [hashlib.sha256(f).hexdigest() for f in read(path)]
        line["joined"] = hashlib.sha256(b"".join(read(path))).hexdigest()
    except Exception as e:  # whatever pydicom says of a broken file
        line["why"] = f"{type(e).__name__}: {e}"[:200]
    print(json.dumps(line))
