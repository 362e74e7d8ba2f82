package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// decodeInstance reads what appendInstance of this release writes, in any order and with any white
// space. It returns false for anything else (an unknown member, null, a string that is not UTF-8), and
// leaves in half filled: encoding/json then says what it is. What both accept they read alike, which a
// fuzz target holds.
func decodeInstance(data []byte, in *Instance) bool {
	d := &reader{data: data}
	d.object(func(name []byte) {
		switch string(name) {
		case "object_id":
			in.ObjectID = d.text()
		case "tenant":
			in.Tenant = d.text()
		case "origin":
			d.origin(&in.Origin)
		case "blob":
			d.blob(&in.Blob)
		case "ids":
			d.ids(&in.IDs)
		case "attributes":
			if in.Attributes == nil {
				in.Attributes = make(map[string]string, 48)
			}
			d.object(func(name []byte) {
				key := string(name)
				in.Attributes[key] = d.text()
			})
		case "header":
			d.attachment(&in.Header)
		case "frames":
			d.attachment(&in.Frames)
		case "warnings":
			if raw := d.flatArray(); raw == nil || in.Warnings != nil || json.Unmarshal(raw, &in.Warnings) != nil {
				d.failed = true
			}
		case "conflict_of":
			in.ConflictOf = d.text()
		case "adopted":
			in.Adopted = d.boolean()
		case "reason":
			in.Reason = d.text()
		case "reason_detail":
			in.ReasonDetail = d.text()
		case "reason_offset":
			in.ReasonOffset = d.integer(64)
		case "scanner_version":
			in.ScannerVersion = int(d.integer(strconv.IntSize))
		case "parser_version":
			in.ParserVersion = int(d.integer(strconv.IntSize))
		case "redescribes":
			in.Redescribes = d.text()
		default:
			d.failed = true
		}
	})
	d.space()
	return !d.failed && d.at == len(d.data)
}

func (d *reader) origin(o *Origin) {
	d.object(func(name []byte) {
		switch string(name) {
		case "door":
			o.Door = d.text()
		case "device":
			o.Device = d.text()
		case "facility":
			o.Facility = d.text()
		case "remote":
			o.Remote = d.text()
		case "calling_ae":
			o.CallingAE = d.text()
		case "called_ae":
			o.CalledAE = d.text()
		case "filename":
			o.Filename = d.text()
		case "received_at":
			if raw, escaped := d.quoted(); escaped || o.ReceivedAt.UnmarshalText(raw) != nil {
				d.failed = true
			}
		default:
			d.failed = true
		}
	})
}

func (d *reader) blob(b *Blob) {
	d.object(func(name []byte) {
		switch string(name) {
		case "key":
			b.Key = d.text()
		case "bytes":
			b.Bytes = d.integer(64)
		case "sha256":
			b.SHA256 = d.text()
		case "dataset_sha256":
			b.DatasetSHA256 = d.text()
		case "dataset_offset":
			b.DatasetOffset = d.integer(64)
		case "media_type":
			b.MediaType = d.text()
		case "format":
			b.Format = d.text()
		case "transfer_syntax":
			b.TransferSyntaxUID = d.text()
		default:
			d.failed = true
		}
	})
}

func (d *reader) ids(ids *IDs) {
	d.object(func(name []byte) {
		switch string(name) {
		case "patient_id":
			ids.PatientID = d.text()
		case "issuer_of_patient_id":
			ids.IssuerOfPatientID = d.text()
		case "accession_number":
			ids.AccessionNumber = d.text()
		case "study_instance_uid":
			ids.StudyInstanceUID = d.text()
		case "series_instance_uid":
			ids.SeriesInstanceUID = d.text()
		case "sop_instance_uid":
			ids.SOPInstanceUID = d.text()
		case "sop_class_uid":
			ids.SOPClassUID = d.text()
		default:
			d.failed = true
		}
	})
}

func (d *reader) attachment(into **Attachment) {
	if *into == nil {
		*into = new(Attachment)
	}
	a := *into
	d.object(func(name []byte) {
		switch string(name) {
		case "encoding":
			a.Encoding = d.text()
		case "bytes":
			a.Bytes = d.integer(64)
		case "data":
			raw, escaped := d.quoted()
			if d.failed || escaped {
				d.failed = true
				return
			}
			a.Data = make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
			n, err := base64.StdEncoding.Decode(a.Data, raw)
			a.Data, d.failed = a.Data[:n], err != nil
		case "blob_key":
			a.BlobKey = d.text()
		default:
			d.failed = true
		}
	})
}

// reader walks JSON (RFC 8259). After failed is set it reads nothing more.
type reader struct {
	data   []byte
	at     int
	failed bool
}

func (d *reader) space() {
	for d.at < len(d.data) {
		switch d.data[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// next skips white space and takes c.
func (d *reader) next(c byte) bool {
	d.space()
	if d.failed || d.at >= len(d.data) || d.data[d.at] != c {
		return false
	}
	d.at++
	return true
}

func (d *reader) must(c byte) {
	if !d.next(c) {
		d.failed = true
	}
}

// object calls value with each name, to read the value behind it.
func (d *reader) object(value func(name []byte)) {
	d.must('{')
	if d.next('}') {
		return
	}
	for !d.failed {
		name, escaped := d.quoted()
		if escaped {
			d.failed = true
		}
		d.must(':')
		if d.failed {
			return
		}
		value(name)
		if d.next(',') {
			continue
		}
		d.must('}')
		return
	}
}

// quoted returns a string's bytes between the quotes; escaped says that some stand for others.
func (d *reader) quoted() (raw []byte, escaped bool) {
	d.must('"')
	ascii := byte(0)
	for start := d.at; !d.failed && d.at < len(d.data); d.at++ {
		switch c := d.data[d.at]; {
		case c == '"':
			raw = d.data[start:d.at]
			d.at++
			if ascii >= utf8.RuneSelf && !utf8.Valid(raw) {
				d.failed = true
			}
			return raw, escaped
		case c == '\\':
			escaped = true
			d.at++ // over the byte behind it, which may be a quote
		case c < ' ':
			d.failed = true
		default:
			ascii |= c
		}
	}
	d.failed = true
	return nil, false
}

// text returns a string value.
func (d *reader) text() string {
	raw, escaped := d.quoted()
	if !escaped || d.failed {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return string(append(out, raw...))
		}
		out = append(out, raw[:i]...)
		size := 2
		switch raw[i+1] { // quoted has seen that a byte follows
		case '"', '\\', '/':
			out = append(out, raw[i+1])
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			if len(raw) < i+6 {
				d.failed = true
				return ""
			}
			code, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
			if err != nil || code >= 0xD800 && code < 0xE000 { // half of a pair
				d.failed = true
				return ""
			}
			out = utf8.AppendRune(out, rune(code))
			size = 6
		default:
			d.failed = true
			return ""
		}
		raw = raw[i+size:]
	}
}

// integer returns a whole number of so many bits.
func (d *reader) integer(bits int) int64 {
	d.space()
	start := d.at
	for d.at < len(d.data) && (d.data[d.at] >= '0' && d.data[d.at] <= '9' || d.data[d.at] == '-') {
		d.at++
	}
	digits := bytes.TrimPrefix(d.data[start:d.at], []byte("-"))
	value, err := strconv.ParseInt(string(d.data[start:d.at]), 10, bits)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		d.failed = true // fractions and exponents fail at the next byte
	}
	return value
}

func (d *reader) boolean() bool {
	d.space()
	for _, word := range []string{"true", "false"} {
		if bytes.HasPrefix(d.data[d.at:], []byte(word)) {
			d.at += len(word)
			return word == "true"
		}
	}
	d.failed = true
	return false
}

// flatArray returns the bytes of an array that holds no array, unchecked; nil when there is none.
func (d *reader) flatArray() []byte {
	d.space()
	start := d.at
	d.must('[')
	for !d.failed && d.at < len(d.data) {
		switch d.data[d.at] {
		case ']':
			d.at++
			return d.data[start:d.at]
		case '[':
			d.failed = true
		case '"':
			d.quoted()
		default:
			d.at++
		}
	}
	d.failed = true
	return nil
}
