// Package dicomwave reads DICOM waveform objects (PS3.3 §A.34, §C.10.9): 12-Lead, General and General 32-bit
// ECG, Ambulatory ECG, rhythm strips, and the hemodynamic and electrophysiology objects that carry ECG beside
// pressures. Other waveforms, such as audio, are refused.
//
// Each item of Waveform Sequence (5400,0100) is a group: rhythm, median beat (by its label, or derived and
// shorter than a rhythm), full disclosure (Ambulatory, or longer than ten minutes), and OtherSignals where no
// channel is a lead of the surface ECG, which is what keeps pressures and intracardiac signals out of ECGs.
// Waveform Data (5400,1010) is interleaved by sample and streams from the file; of a deflated object it is
// inflated as it is read.
//
// A value is raw × Channel Sensitivity × Sensitivity Correction Factor + Channel Baseline, with the baseline
// in units of the sensitivity (PS3.3 §C.10.9.1.4; some programs add it to raw). Samples are 8, 16 or 32 bits,
// signed or not; unsigned 32-bit samples are stored as count − 2³¹ with the baseline moved by as much. Samples
// that equal Waveform Padding Value (5400,100A) are missing, unless it is a signed 0. Skew of a channel is kept as Lead.Skew. In big
// endian objects OW is swapped by 16-bit words whatever the sample (PS3.5 §7.3).
//
// Lead codes are read as MDC "2:n", SCPECG "5.6.3-9-n" and by meaning ("Lead I (Einthoven)", "I"). Waveform
// annotations become measurements when they have a number, statements when they are text, and annotations when
// they mark samples or times.
//
// Real devices write 12-Lead objects of 24 channels, axes in ms, PP intervals of 0 for "none", and UIDs with
// empty components: all of that is read, with warnings where it matters.
package dicomwave
