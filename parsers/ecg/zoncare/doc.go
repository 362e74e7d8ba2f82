// Package zoncare reads the XML of Zoncare (中旗) carts: root zqecg.
//
// Maker's format without a public specification. The layout of the waveform is known from one public reader of it,
// BRAVEHEART's load_zoncarexml.m, and no file with a licence was found: the tests write their own. lead is the number
// of leads, 12; sample the rate in Hz; second the duration; data base64 of 16-bit little-endian samples of all
// leads in turns, with one channel more than leads, which is empty. A count is taken for 1 µV: the file does not say
// (ecg.WarnScaleAbsent). Order: I, II, III, aVR, aVL, aVF, V1 to V6; 15 leads are said to be followed by V7, V8, V9 or
// right-sided ones, so that those beyond twelve have no name here (ecg.WarnLeadUnknown).
//
// What else the file says has no published names: elements whose name or label is a common one of such a field
// (package label), in English or Chinese, are read, others are not. Text is GBK as often as UTF-8, whatever is
// declared.
package zoncare
