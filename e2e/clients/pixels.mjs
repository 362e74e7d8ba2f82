// Frames of a DICOM file of explicit or implicit little endian, or of encapsulated fragments: just enough of
// PS3.5 to say, beside the server, where they lie. Pixel Data is the last element of these files.

// frames returns the bytes of each frame.
export function frames(file) {
  const value = { rows: 0, columns: 0, samples: 1, bits: 8, count: 1, syntax: '' };
  let at = 132;
  let explicit = true; // File Meta Information is
  let meta = true;
  for (;;) {
    const group = file.readUInt16LE(at), element = file.readUInt16LE(at + 2);
    if (meta && group !== 2) {
      meta = false;
      explicit = value.syntax !== '1.2.840.10008.1.2';
    }
    let length, begin;
    const vr = file.toString('latin1', at + 4, at + 6);
    if (!explicit) {
      [length, begin] = [file.readUInt32LE(at + 4), at + 8];
    } else if (/^(O[BDFLVW]|SQ|U[CNRT]|SV|UV)$/.test(vr)) {
      [length, begin] = [file.readUInt32LE(at + 8), at + 12];
    } else {
      [length, begin] = [file.readUInt16LE(at + 6), at + 8];
    }
    const text = () => file.toString('latin1', begin, begin + length).replace(/[\0 ]+$/, '');
    switch (group * 0x10000 + element) {
      case 0x00020010: value.syntax = text(); break;
      case 0x00280002: value.samples = file.readUInt16LE(begin); break;
      case 0x00280008: value.count = Number(text()); break;
      case 0x00280010: value.rows = file.readUInt16LE(begin); break;
      case 0x00280011: value.columns = file.readUInt16LE(begin); break;
      case 0x00280100: value.bits = file.readUInt16LE(begin); break;
      case 0x7fe00010: return length === 0xffffffff ? fragments(file, begin, value.count) : native(file, begin, value);
      default:
    }
    if (length === 0xffffffff) throw new Error('a sequence of undefined length');
    at = begin + length;
  }
}

function native(file, begin, { rows, columns, samples, bits, count }) {
  const size = rows * columns * samples * bits / 8;
  return Array.from({ length: count }, (_, i) => file.subarray(begin + i * size, begin + (i + 1) * size));
}

// fragments takes as many for each frame as there are between two JPEG images.
function fragments(file, begin, count) {
  const out = [];
  for (let at = begin, first = true; ;) {
    const element = file.readUInt16LE(at + 2), length = file.readUInt32LE(at + 4);
    if (element === 0xe0dd) break;
    const bytes = file.subarray(at + 8, at + 8 + length);
    if (!first && bytes[0] === 0xff && bytes[1] === 0xd8) out.push(bytes);
    else if (!first) out[out.length - 1] = Buffer.concat([out[out.length - 1], bytes]);
    first = false; // the Basic Offset Table
    at += 8 + length;
  }
  if (out.length !== count) throw new Error(`${out.length} images in ${count} frames`);
  return out;
}
