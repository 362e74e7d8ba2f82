package part10

import (
	"compress/flate"
	"errors"
	"io"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// ratioGrace is how much may come out before the ratio counts, bytes: headers full of zeros are normal.
const ratioGrace = 1 << 20

// inflater yields the inflated data set of Deflated Explicit VR Little Endian (PS3.5 §A.5) and fails when
// it becomes more than the limits allow. Its errors are io.EOF, a *reject.Error, or the source's own.
type inflater struct {
	in     *source
	z      io.ReadCloser
	start  int64
	out    int64
	limits Limits
}

func newInflater(in *source, l Limits) *inflater {
	return &inflater{in: in, z: flate.NewReader(in), start: in.off(), limits: l}
}

func (f *inflater) Read(p []byte) (int, error) {
	n, err := f.z.Read(p)
	f.out += int64(n)
	in := f.in.off() - f.start
	if f.out > f.limits.Inflated {
		return 0, reject.At(reject.InflateBomb, op, f.in.off(), "deflated data set exceeds %d bytes", f.limits.Inflated)
	}
	if f.out > ratioGrace && (f.out-ratioGrace)/f.limits.Ratio > in {
		return 0, reject.At(reject.InflateBomb, op, f.in.off(), "deflated data set grows more than %d-fold", f.limits.Ratio)
	}
	if err == nil || err == io.EOF {
		return n, err
	}
	if f.in.err != nil && f.in.err != io.EOF {
		return n, f.in.err
	}
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		return n, reject.At(reject.UndecodableDeflate, op, f.start+int64(corrupt), "deflate stream is corrupt")
	}
	return n, reject.At(reject.Truncated, op, f.in.off(), "deflate stream ends early")
}
