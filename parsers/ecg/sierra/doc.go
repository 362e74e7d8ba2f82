// Package sierra reads the XML of Philips PageWriter and HeartStart carts ("restingecgdata"): SierraECG 1.03 and
// PhilipsECG 1.04, 1.04.01 and 1.04.02. Other types and versions are read with a warning: what differs between
// versions is where things stand.
//
// Maker's format; schemas are published with sierra-ecg-tools. All amplitudes are in µV, all durations and times in
// ms. Encoding is UTF-8 or UTF-16 with mark, and copies keep a declaration that no longer fits.
//
// parsedwaveforms holds base64 of a chunk for each lead, compressed by XLI: a header of 8 bytes (size of the
// chunk i32, 1 i16, first residue i16, little-endian), then LZW with codes of 10 bits, most significant bit
// first, whose dictionary ends at 1022 and whose code 1023 ends the data. What comes out is the high bytes of
// all values, then their low bytes. The first two values are samples; each other sample is
// 2·last − last but one − residue, where the value is the next residue plus 64. III, aVR, aVL and aVF are stored
// as what differs from their computation out of I and II, with halves rounded down, so that they come back as
// the cart had them.
//
// Traps: the signal ends with the recorder's calibration pulse, 0.4 s of 0, 1 mV and 0 in all leads at once, and
// in HeartStart files a gap of zeros before it; it is no ECG, and cut (ecg.WarnCalibration). Representative beats
// have a rate and a step of their own, and end in 7FFFH, which is padding: these samples are missing. Anonymised
// files have "---" for text, and all have chunks of zeros for leads beyond those they name. interpretation/globalmeasurements are the numbers that stand, edited or not; those of
// internalmeasurements are the program's and follow. unparsedwaveforms names another file, which is not opened.
package sierra
