//go:build !linux

package disk

// The calls below have no portable form that is worth its risk. A store works without them: it syncs
// more at the end of a large blob, and frees a pack's space when the last blob in it is deleted.

func (f osFile) WriteVec(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		n, err := f.WriteAt(b, off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

func (f osFile) Datasync() error                { return f.Sync() }
func (osFile) PunchHole(_, _ int64) error       { return nil }
func (osFile) Writeback(_, _, _, _ int64) error { return nil }
