// Package ecg is the canonical recording: what every ECG format says, in one shape.
//
// A Recording has groups (rhythm, median beat, full disclosure), which are never merged: each has its rate,
// its offset and its leads. A Lead keeps the stored counts and an exact scale, a Rat: a sample's value is
// count·Scale + Baseline in Unit, which is µV for every voltage. Samples come from Group.Samples in blocks of
// [lead][sample], so that a day of twelve leads costs a block of memory; what is missing is marked and never
// drawn as zero. Times keep the raw text and whether the zone is known. Measurements, annotations and
// statements say who made them and keep the name that the file has for them.
//
// # How a file becomes a Recording
//
// Package formats tells the format by the first bytes (parsers/sniff), calls its Decoder, then Validate and
// Complete. Complete adds limb leads that are absent and follow from stored ones, marked Derived with halves
// kept exactly, and checks that stored ones agree. Readers of recordings call formats.Decode and nothing else.
//
// # How to add a format
//
//  1. parsers/sniff has the format's name and knows it by content.
//  2. A room parsers/ecg/NAME exports Decode, an ecg.Decoder, and its doc comment says what of the format it
//     reads, by which clause of which specification, and which traps real files set.
//  3. Decode begins with lim = lim.Fill(). It bounds every count, length and depth from the file before it
//     trusts it; samples by the bytes that carry them. It fills in what is stored: no derived leads, no
//     guesses. It refuses with *reject.Error (Truncated, Malformed, TooManyElements, …), and returns the
//     source's own errors wrapped. Blemishes of a readable file are Recording.Warn with a code of warning.go.
//  4. A lead gets Set(id) by code (LeadByCode) or SetLabel(text); Label keeps what the file calls it. Unit,
//     Scale and Baseline: VoltageScale turns the stored unit into µV; other units stay, as UCUM.
//  5. Samples: Group.Memory for what had to be read whole (XML, compressed), Group.Stream with Frames for
//     equal frames on disk (after Frames.Check), or SetSource with a SampleReader of the format's own.
//     Channels of different rates go to different groups, in the order of the file.
//  6. XML formats read through parsers/ecg/xmltext, never encoding/xml: it decodes UTF-16, GBK and wrong
//     declarations, and knows no entities.
//  7. One line in parsers/ecg/formats/table.go.
//  8. Tests: ecgtest.Golden over the format's folder of the corpus, with each known deviation and its reason;
//     a fuzz target seeded from files made in the test; hostile files. ecgtest.Check does to a decoder what
//     hostile input does: cuts it at every length and flips bytes.
package ecg
