package ecg

// Skipper is a SampleReader that can go on elsewhere without reading what lies before: the next block begins
// at sample or before it, and never after it. The last minute of a day costs a minute then. A reader that
// cannot stays where it is, which is before any sample ahead.
type Skipper interface {
	SkipTo(sample int64) error
}

// SkipTo makes Next go on at a sample of the time line.
func (r *memoryReader) SkipTo(sample int64) error {
	r.at = max(0, min(sample, r.group.Length))
	return nil
}

// SkipTo makes Next go on at the frame that has the sample.
func (r *frameReader) SkipTo(sample int64) error {
	r.next = max(0, min(sample/int64(r.f.Samples), r.f.Count))
	r.big.Len, r.used = 0, 0
	return nil
}

// SkipTo passes on to the stored leads' reader.
func (r *deriver) SkipTo(sample int64) error {
	if s, ok := r.in.(Skipper); ok {
		return s.SkipTo(sample)
	}
	return nil
}
