// Package cardiosoft reads the XML of GE CardioSoft, CASE and MAC carts ("CardiologyXML").
//
// Maker's format without a public specification; what is known comes from files. StripData is the rhythm:
// NumberOfLeads, SampleRate, ChannelSampleCountTotal, Resolution in µV per count, and a WaveformData for each
// lead with whole numbers between commas over several lines. MedianSamples, inside RestingECGMeasurements, is
// the median beat in the same form. Exercise tests add FullDisclosure, often at 100 Hz, with the same
// elements.
//
// All 12 leads are stored; aVF and its like are rounded to a count, so they differ from what I and II give by
// up to half a step. Measurements carry their unit; onsets and offsets are in ms from the median's first sample,
// unlike MUSE's sample numbers. MeasurementTable is by lead: a list under LeadOrder. The vector loops are made
// by the inverse Dower transform from the leads, and are not read. Dates are separate numbers without zone;
// anonymised files have 1 everywhere, which is no date. UID is that of a DICOM study.
package cardiosoft
