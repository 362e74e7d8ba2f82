package bundle

import (
	"archive/tar"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// readTAR lists the members of a tar archive (POSIX pax, GNU, ustar). Members are read in place, so a member
// whose bytes are not where its header says, as sparse ones, is refused.
func readTAR(f ecg.File) ([]*member, error) {
	in := f.Reader()
	r := tar.NewReader(in)
	var members []*member
	for n := 0; ; n++ {
		h, err := r.Next()
		if err == io.EOF {
			return members, nil
		}
		if err != nil {
			return nil, tarError(err)
		}
		if n >= MaxEntries {
			return nil, reject.New(reject.TooLarge, op, "an archive of more than %d entries", MaxEntries)
		}
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return nil, reject.New(reject.UnsupportedFormat, op, "a sparse member")
			}
		}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			if h.Typeflag == tar.TypeDir {
				if _, ok := cleanName(h.Name); !ok {
					return nil, reject.New(reject.UnsupportedFormat, op, "a member's name leads out of the archive")
				}
			}
			continue
		default:
			return nil, reject.New(reject.UnsupportedFormat, op, "a member that is a link, a device or sparse")
		}
		name, ok := cleanName(h.Name)
		if !ok {
			return nil, reject.New(reject.UnsupportedFormat, op, "a member's name leads out of the archive")
		}
		at, err := in.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if h.Size < 0 || h.Size > f.Size-at {
			return nil, reject.At(reject.Truncated, op, at, "a member of %d bytes reaches beyond the file", h.Size)
		}
		if litter(name) {
			continue
		}
		members = append(members, &member{name: name, size: h.Size, in: h.Size, stored: ecg.File{At: io.NewSectionReader(f.At, at, h.Size), Size: h.Size}})
	}
}

func tarError(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return reject.New(reject.Truncated, op, "the archive ends within a member")
	case errors.Is(err, tar.ErrHeader), errors.Is(err, tar.ErrFieldTooLong):
		return reject.New(reject.UnsupportedFormat, op, "tar: %w", err)
	}
	return err
}

// openGZIP unpacks gzip: of one file, or of a tar archive.
func openGZIP(f ecg.File, b *budget) (ecg.Source, error) {
	z, err := gzip.NewReader(f.Reader())
	if err != nil {
		return ecg.Source{}, packError(err)
	}
	name := z.Name
	data, err := b.unpack(z, f.Size, -1)
	if err != nil {
		return ecg.Source{}, err
	}
	inner := memory(innerName(name, f.Name), data)
	switch format := sniff.Detect(data[:min(len(data), sniff.HeadBytes)]); format {
	case sniff.TAR:
		members, err := readTAR(inner)
		if err != nil {
			return ecg.Source{}, err
		}
		return pick(members, b)
	case sniff.ZIP, sniff.GZIP:
		return ecg.Source{}, reject.New(reject.UnsupportedFormat, op, "an archive in an archive")
	default:
		if format != sniff.DICOM && !format.ECG() {
			return ecg.Source{}, reject.New(reject.UnsupportedFormat, op, "an archive without a recording: %s", format)
		}
	}
	return ecg.Source{File: inner}, nil
}

// innerName is the packed file's name, or the archive's without its ending.
func innerName(stated, archive string) string {
	if name, ok := cleanName(stated); ok {
		return path.Base(name)
	}
	if name, ok := strings.CutSuffix(archive, ".gz"); ok {
		return name
	}
	return ""
}

// packError turns an error of a decompressor into a refusal; errors of reading stay.
func packError(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return reject.New(reject.ChecksumMismatch, op, "a member that does not unpack: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return reject.New(reject.Truncated, op, "a packed member ends early")
	}
	return err
}
