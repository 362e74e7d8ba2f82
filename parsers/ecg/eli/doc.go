// Package eli reads the XML of Mortara and Hillrom ELI carts: root ECG with CHANNEL elements.
//
// Maker's format without a public specification. What is known comes from two public readers of it, BRAVEHEART's
// load_elixml.m and ECGDataKit, and no file with a licence was found: the tests write their own.
//
// A CHANNEL has all in attributes: NAME, SAMPLE_FREQ in Hz, DURATION in samples, BITS 16, FORMAT SIGNED, ENCODING
// BASE64 (little-endian), DATA, and a sample is (DATA + OFFSET) / UNITS_PER_MV in mV. TYPICAL_CYCLE is the median
// beat with TYPICAL_CYCLE_CHANNELs, which may leave to it what they share; channels may leave UNITS_PER_MV to it as
// well, and a file that has none has no scale (ecg.WarnScaleAbsent). Patient data are DEMOGRAPHIC_FIELDs with
// LABEL and VALUE as the cart's screen has them, or attributes of SUBJECT. Dates are YYYYMMDD[HHMMSS] or
// MM/DD/YYYY; 0/0/0 is none. The numbers' units are those of their names; points of the median (P_ONSET …) have no
// known unit and keep their name alone.
package eli
