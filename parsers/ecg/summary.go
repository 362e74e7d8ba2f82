package ecg

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"slices"
)

// Summary is a Recording without its samples: what `tributary ecg show --json` prints, the index keeps and
// tests compare.
type Summary struct {
	Format        string                        `json:"format"`
	FormatVersion string                        `json:"format_version"`
	DocumentID    string                        `json:"document_id,omitempty"`
	Patient       PatientSummary                `json:"patient"`
	AcquiredAt    string                        `json:"acquired_at"` // ISO 8601, without offset unless zone_known
	AcquiredRaw   string                        `json:"acquired_raw,omitempty"`
	ZoneKnown     bool                          `json:"zone_known"`
	Device        Device                        `json:"device"`
	Pacing        *PacingSummary                `json:"pacing,omitempty"`
	Groups        []GroupSummary                `json:"groups"`
	Measurements  map[string]MeasurementSummary `json:"measurements"` // global ones by kind, the first of each
	Annotations   int                           `json:"annotations,omitempty"`
	Statements    []Statement                   `json:"statements"`
	Warnings      []Warning                     `json:"warnings"`
}

// PatientSummary is who was recorded.
type PatientSummary struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Sex       string `json:"sex"`
	BirthDate string `json:"birth_date"`
	Age       string `json:"age,omitempty"` // with unit: "54 a"
}

// PacingSummary is there when the file says whether there is a pacemaker.
type PacingSummary struct {
	Paced bool   `json:"paced"`
	Text  string `json:"text,omitempty"`
}

// GroupSummary is one group.
type GroupSummary struct {
	Kind                Kind          `json:"kind"`
	Label               string        `json:"label,omitempty"`
	SamplingFrequencyHz json.Number   `json:"sampling_frequency_hz"`
	StartOffsetMillis   json.Number   `json:"start_offset_ms"`
	Samples             int64         `json:"samples"` // of the time line
	Leads               []LeadSummary `json:"leads"`
}

// LeadSummary is one lead. Hashes are hex, over the lead's own samples as little-endian int32: the counts as
// stored, and the values in µV rounded to nearest with ties to even. They are absent where they would
// mean nothing: µV of leads with missing samples and of other units, and both when hashes were not asked
// for.
type LeadSummary struct {
	Name         string `json:"name"`
	Code         string `json:"code,omitempty"`
	Label        string `json:"label,omitempty"`
	Samples      int64  `json:"samples"`
	StartSample  int64  `json:"start_sample,omitempty"`
	LSBMicrovolt string `json:"lsb_uv,omitempty"` // µV per count, exact
	LSB          string `json:"lsb,omitempty"`    // Unit per count, of what is no voltage
	Unit         string `json:"unit,omitempty"`   // of what is no voltage
	Baseline     string `json:"baseline,omitempty"`
	Derived      bool   `json:"derived"`
	Missing      int64  `json:"missing,omitempty"` // samples
	CountsSHA256 string `json:"sha256_counts_int32le,omitempty"`
	MicroSHA256  string `json:"sha256_uv_int32le,omitempty"`
}

// MeasurementSummary is one global measurement.
type MeasurementSummary struct {
	Value   json.Number `json:"value"`
	Unit    string      `json:"unit,omitempty"`
	Formula string      `json:"formula,omitempty"`
}

// number is a Rat as a JSON number; thirds and their like to float precision.
func number(r Rat) json.Number {
	if s := r.String(); json.Valid([]byte(s)) {
		return json.Number(s)
	}
	b, err := json.Marshal(r.Float64())
	if err != nil {
		return "0"
	}
	return json.Number(b)
}

// Summarize returns the summary. With hashes it reads every sample once, in blocks.
func (r *Recording) Summarize(hashes bool) (*Summary, error) {
	s := &Summary{
		Format: string(r.Format), FormatVersion: r.FormatVersion, DocumentID: r.DocumentID,
		Patient:    PatientSummary{ID: r.Patient.ID, Name: r.Patient.Name, Sex: r.Patient.Sex, BirthDate: r.Patient.BirthDate},
		AcquiredAt: r.Acquired.String(), ZoneKnown: r.Acquired.ZoneKnown, Device: r.Device,
		Groups: []GroupSummary{}, Measurements: map[string]MeasurementSummary{}, Annotations: len(r.Annotations),
		Statements: append([]Statement{}, r.Statements...),
	}
	if s.AcquiredAt == "" {
		s.AcquiredRaw = r.Acquired.Raw
	}
	if a := r.Patient.Age; a.Known() {
		s.Patient.Age = a.Value.String() + " " + a.Unit
	}
	if r.Pacing.Known {
		s.Pacing = &PacingSummary{Paced: r.Pacing.Paced, Text: r.Pacing.Text}
	}
	for _, m := range r.Measurements {
		if _, have := s.Measurements[string(m.Kind)]; m.Kind == "" || m.Lead != "" || !m.Valid || have {
			continue
		}
		s.Measurements[string(m.Kind)] = MeasurementSummary{Value: number(m.Value), Unit: m.Unit, Formula: m.Formula}
	}
	for _, g := range r.Groups {
		gs, err := g.summarize(hashes)
		if err != nil {
			return nil, err
		}
		s.Groups = append(s.Groups, gs)
	}
	s.Warnings = append([]Warning{}, r.Warnings...)
	return s, nil
}

func (g *Group) summarize(hashes bool) (GroupSummary, error) {
	s := GroupSummary{
		Kind: g.Kind, Label: g.Label, SamplingFrequencyHz: number(g.Rate), StartOffsetMillis: number(g.StartOffset),
		Samples: g.Length, Leads: make([]LeadSummary, len(g.Leads)),
	}
	for i := range g.Leads {
		l := &g.Leads[i]
		ls := LeadSummary{
			Name: l.Name, Code: l.Code, Samples: l.Length, StartSample: l.Start, Derived: l.Derived,
		}
		if l.Label != l.Name {
			ls.Label = l.Label
		}
		if l.Voltage() {
			ls.LSBMicrovolt = l.Scale.String()
		} else {
			ls.LSB, ls.Unit = l.Scale.String(), l.Unit
		}
		if !l.Baseline.IsZero() {
			ls.Baseline = l.Baseline.String()
		}
		s.Leads[i] = ls
	}
	if !hashes || g.source == nil {
		return s, nil
	}
	return s, g.hash(s.Leads)
}

type leadHash struct {
	counts, micro hash.Hash
	scaler        *Scaler
	noMicro       bool
}

// hash reads the group once and fills in hashes and numbers of missing samples.
func (g *Group) hash(out []LeadSummary) error {
	r, err := g.Samples()
	if err != nil {
		return err
	}
	hs := make([]leadHash, len(g.Leads))
	for i := range hs {
		hs[i] = leadHash{counts: sha256.New(), micro: sha256.New(), scaler: g.Leads[i].Scaler(), noMicro: !g.Leads[i].Voltage()}
	}
	var b Block
	buf := make([]byte, 4*BlockSamples)
	for {
		if err := r.Next(&b); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		for i := range hs {
			l, h := &g.Leads[i], &hs[i]
			from := int(min(max(0, l.Start-b.Start), int64(b.Len)))
			to := int(max(0, min(int64(b.Len), l.Start+l.Length-b.Start)))
			if from >= to {
				continue
			}
			counts := b.Counts[i][from:to]
			if m := b.Missing[i]; m != nil {
				for _, miss := range m[from:to] {
					if miss {
						out[i].Missing++
						h.noMicro = true
					}
				}
			}
			buf = slices.Grow(buf[:0], 4*len(counts))[:4*len(counts)]
			for j, v := range counts {
				binary.LittleEndian.PutUint32(buf[4*j:], uint32(v))
			}
			h.counts.Write(buf)
			if h.noMicro {
				continue
			}
			for j, v := range counts {
				micro, ok := h.scaler.Round(v)
				if !ok {
					h.noMicro = true
					break
				}
				binary.LittleEndian.PutUint32(buf[4*j:], uint32(micro))
			}
			h.micro.Write(buf)
		}
	}
	for i := range hs {
		out[i].CountsSHA256 = hex.EncodeToString(hs[i].counts.Sum(nil))
		if !hs[i].noMicro {
			out[i].MicroSHA256 = hex.EncodeToString(hs[i].micro.Sum(nil))
		}
	}
	return nil
}
