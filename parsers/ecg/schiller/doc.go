// Package schiller reads the XML of Schiller carts (AT-102, CARDIOVIT, SEMA): examdescript and eventdata.
//
// Maker's format without a public specification. The layout of the waveforms is known from one public reader of it,
// BRAVEHEART's load_schillerxml.m, and no file with a licence was found: the tests write their own. Under
// eventdata/event, a wavedata is a group: type (ECG_RHYTHMS; averages and medians are median beats),
// resolution/samplerate with value and exponent, of which only exponent 1 is known and means the value itself,
// resolution/yres with unitperbit and units (uv, mv), and channels with name and data, whole numbers between commas
// (COMMASEPARATE) or spaces. Missing limb leads follow from the stored ones.
//
// What else the file says about patient, device and time has no published names: elements whose name is a common
// label of such a field (package label) are read, others are not.
package schiller
