// Package muse reads GE MUSE XML ("RestingECG", restecg.dtd), as MUSE 7 to 10 and MAC carts export it.
//
// Maker's format without a public specification; what is known comes from files. Encoding is declared
// ISO-8859-1 and is whatever the site uses. The document type restecg.dtd is never fetched.
//
// A Waveform is a group: WaveformType Rhythm or Median, SampleBase·10^SampleExponent Hz, HighPassFilter in
// hundredths of a hertz, LowPassFilter in Hz, ACFilter 50, 60 or NONE. Each LeadData has base64 of 16-bit
// little-endian samples, LeadAmplitudeUnitsPerBit in LeadAmplitudeUnits, and LeadDataCRC32, which is the CRC-32
// of zlib over the raw bytes. Carts store I, II and V1 to V6, with V3R, V4R and V7 in recordings of 15
// leads; the other limb leads follow (ecg.Recording.Complete). Some exports store 12 leads.
//
// Measurements are in ms, degrees and beats a minute, except onsets and offsets, which are sample numbers of
// the median beat at ECGSampleBase·10^ECGSampleExponent Hz; they become ms here. QTCorrected is by Bazett,
// QTcFrederica by Fridericia. OriginalRestingECGMeasurements and OriginalDiagnosis are the machine's, before
// anyone edited; Diagnosis is what stands now, by TestDemographics' Status. A statement ends with StmtFlag
// ENDSLINE; those before it are pieces of the same line.
//
// Dates are MM-DD-YYYY without zone. Demographics may be absent altogether. The MeasurementMatrix, pharma and
// pace spike blocks are not public and not read (ecg.WarnUnsupportedPart for those that change what a reader
// would say).
package muse
