// Package draw puts recordings on paper: the ECG that a physician reads, exact to the hundredth of a
// millimetre.
//
// Plan computes one Sheet, a vector scene in thousandths of a millimetre, and knows nothing of files. A Sheet
// writes itself as SVG (a unit is a millimetre), PDF, PNG or JPEG; all show the same. The same recording and
// options give the same bytes.
//
// What the drawing promises:
//
//   - A sample at t seconds and v mV is at x0 + t·speed, y0 − v·gain. Nothing else moves it, except a lead
//     whose baseline lies off its row: that is shifted by whole millimetres, and the drawing says by how much.
//   - Samples are never skipped: where several share a column of paper, the first, least, greatest and last of
//     them stay, each at its own time.
//   - What was not recorded is empty paper: a lead that is missing has its label and a gap, a missing sample
//     breaks the trace. Neither is drawn as zero.
//   - Speed, gain and filters are printed on every drawing. Display filters are off unless asked for.
//   - A reading that nobody confirmed says so.
//   - Columns are consecutive stretches of one time line, as on paper from a cart. A lead that was recorded
//     at another time is drawn from its own beginning, which is printed beside its label.
//
// Memory depends on the stretch that is drawn, not on the recording: samples are read in blocks, and only
// the columns of paper are kept. A display filter needs the samples of the stretch in memory and is refused
// beyond a bound.
package draw
