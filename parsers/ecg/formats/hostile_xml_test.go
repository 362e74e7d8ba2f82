package formats

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// rooms are the XML formats with a document of each that is read, and where its text goes.
var rooms = map[sniff.Format]struct{ open, close string }{
	sniff.AECG:       {`<AnnotatedECG xmlns="urn:hl7-org:v3">`, "</AnnotatedECG>"},
	sniff.MUSE:       {"<RestingECG>", "</RestingECG>"},
	sniff.Sierra:     {`<restingecgdata xmlns="http://www3.medical.philips.com">`, "</restingecgdata>"},
	sniff.CardioSoft: {"<CardiologyXML>", "</CardiologyXML>"},
	sniff.ELI:        {`<ECG ACQUISITION_TIME="20240229">`, "</ECG>"},
	sniff.Schiller:   {"<a><examdescript/>", "</a>"},
	sniff.Zoncare:    {"<zqecg>", "</zqecg>"},
	sniff.FHIR:       {`<Observation xmlns="http://hl7.org/fhir">`, "</Observation>"},
}

// endless is a file of one text node without the memory for it.
type endless struct {
	head string
	size int64
}

func (e endless) ReadAt(b []byte, at int64) (int, error) {
	for i := range b {
		if p := at + int64(i); p < int64(len(e.head)) {
			b[i] = e.head[p]
		} else {
			b[i] = 'a'
		}
	}
	return len(b), nil
}

// TestHostileXML sends rows 58 to 65 and 72 of the table of hostile files through every XML room. A room that could
// reach a file or a host would have to import os or net, which the linter forbids parsers; here is what they answer.
func TestHostileXML(t *testing.T) {
	wide := func(s string) string {
		out, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for format, room := range rooms {
		laughs := `<!DOCTYPE x [<!ENTITY a "ha">`
		for c := 'b'; c < 'm'; c++ {
			laughs += fmt.Sprintf(`<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
		}
		for name, c := range map[string]struct {
			text string
			want reject.Code // "" is read
		}{
			"58 external entity":       {`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + room.open + "&a;" + room.close, reject.Malformed},
			"59 entity at a host":      {`<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1/">]>` + room.open + "&a;" + room.close, reject.Malformed},
			"59 parameter entity":      {`<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1/"> %a;]>` + room.open + room.close, reject.Malformed},
			"60 billion laughs":        {laughs + "]>" + room.open + "&l;" + room.close, reject.Malformed},
			"61 external DTD":          {`<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">` + room.open + room.close, reject.Malformed},
			"62 text in a field":       {room.open + "<b>" + strings.Repeat("a", 9<<20) + "</b>" + room.close, reject.TooLarge},
			"63 depth":                 {room.open + strings.Repeat("<b>", 1_000_000), reject.TooDeep},
			"64 XInclude, instruction": {`<?xml-stylesheet href="file:///etc/passwd"?>` + room.open + `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><?php x?>` + room.close, ""},
			"64 unknown entity":        {room.open + "<b>&nobody;</b>" + room.close, ""},
			"65 UTF-16":                {wide(room.open + room.close), ""},
			"65 entity in UTF-16":      {wide(`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + room.open + "&a;" + room.close), reject.Malformed},
			"65 UTF-7":                 {`<?xml version="1.0" encoding="UTF-7"?>` + room.open + "+ADwAIQ-" + room.close, reject.Malformed},
			"65 EBCDIC":                {"\x4c\x6f\xa7\x94\x93" + room.open, reject.Malformed},
			"65 UTF-32":                {"\xff\xfe\x00\x00" + room.open, reject.Malformed},
			"cut":                      {room.open + "<b>", reject.Truncated},
		} {
			_, err := Decoder(format)(ecgtest.Source("", []byte(c.text)), ecg.Limits{})
			if c.want == "" && err != nil || c.want != "" && (err == nil || reject.CodeOf(err) != c.want) {
				t.Errorf("%s, %s: %v, want %q", format, name, err, c.want)
			}
		}
		src := ecg.Source{File: ecg.File{At: endless{room.open + "<b>", 200 << 20}, Size: 200 << 20}}
		var refusal *reject.Error
		if _, err := Decoder(format)(src, ecg.Limits{}); !errors.As(err, &refusal) || refusal.Code != reject.TooLarge {
			t.Errorf("%s, 62 text of 200 MB: %v", format, err)
		}
	}
}

// TestHostileMemory: 72, a waveform that states 500 MB, and documents at the limits, do not cost what they state.
func TestHostileMemory(t *testing.T) {
	for format, text := range map[sniff.Format]string{
		sniff.AECG:    `<AnnotatedECG><component><series><component><sequenceSet><component><sequence><code code="MDC_ECG_LEAD_I"/><value><digits>` + strings.Repeat("1 ", 100) + `</digits></value></sequence></component></sequenceSet></component></series></component></AnnotatedECG>`,
		sniff.MUSE:    `<RestingECG><Waveform><SampleBase>500</SampleBase><LeadData><LeadByteCountTotal>500000000</LeadByteCountTotal><LeadID>I</LeadID><WaveFormData>AAAA</WaveFormData></LeadData></Waveform></RestingECG>`,
		sniff.Sierra:  `<restingecgdata><waveforms><parsedwaveforms compression="XLI" durationperchannel="500000000" samplespersecond="500">/////wEAAAA=</parsedwaveforms></waveforms></restingecgdata>`,
		sniff.ELI:     `<ECG><CHANNEL NAME="I" DURATION="250000000" SAMPLE_FREQ="500" UNITS_PER_MV="400" DATA="AAAA"/></ECG>`,
		sniff.Zoncare: `<zqecg><lead>12</lead><sample>500</sample><second>500000</second><data>AAAA</data></zqecg>`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decoder(format)(ecgtest.Source("", []byte(text)), ecg.Limits{})
		runtime.ReadMemStats(&after)
		if err == nil || reject.CodeOf(err) != reject.Malformed || after.TotalAlloc-before.TotalAlloc > 4<<20 {
			t.Errorf("%s: %v, %d bytes", format, err, after.TotalAlloc-before.TotalAlloc)
		}
	}
}
