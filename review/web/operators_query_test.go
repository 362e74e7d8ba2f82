package web

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReceiptFilter(t *testing.T) {
	for query, want := range map[string]receiptFilter{
		"": {},
		"status=stored&door=dimse&device=kit-7&before=" + idStored: {"stored", "dimse", "kit-7", idStored},
		"status=eaten&door=window&before=../etc":                   {},
		"before=" + strings.ToLower(idStored):                      {},
		"before=" + idStored + "A":                                 {},
		"device=%E5%BF%83%E7%94%B5%0A%00%20%20":                    {Device: "心电"},
		"device=%ff":                                               {},
		"device=" + strings.Repeat("%E5%BF%83", 100):               {Device: strings.Repeat("心", maxDeviceText)},
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseReceiptFilter(q); got != want {
			t.Errorf("%s is %+v, want %+v", query, got, want)
		}
	}
}

// FuzzReceiptFilter: whatever an address has, the filter is bounded, means the same again, and its link leads here.
func FuzzReceiptFilter(f *testing.F) {
	f.Add("stored", "tus", "kit-7", idStored)
	f.Add("", "", "心电\x00\n ", "01J")
	f.Fuzz(func(t *testing.T, status, door, device, before string) {
		got := parseReceiptFilter(url.Values{"status": {status}, "door": {door}, "device": {device}, "before": {before}})
		if again := parseReceiptFilter(got.values()); again != got {
			t.Fatalf("%+v becomes %+v", got, again)
		}
		if utf8.RuneCountInString(got.Device) > maxDeviceText || !utf8.ValidString(got.Device) || got.Before != "" && len(got.Before) != ulidLength {
			t.Fatalf("%+v has no bounds", got)
		}
		u, err := url.Parse(got.link())
		if err != nil || u.Path != "/pages/receipts" || u.Host != "" {
			t.Fatalf("link %q: %v", got.link(), err)
		}
		if parsed := parseReceiptFilter(u.Query()); parsed != got {
			t.Fatalf("%+v becomes %+v by its link", got, parsed)
		}
	})
}

// FuzzHexLines: a preview shows every byte once, and nothing that a page would act on.
func FuzzHexLines(f *testing.F) {
	f.Add([]byte("\x00\x01DICM<script>\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), previewBytes)]
		n := 0
		for _, l := range hexLines(data) {
			n += len(strings.Fields(l.Hex))
			if len(l.Text) > hexWidth || strings.ContainsFunc(l.Text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("line %+v", l)
			}
		}
		if n != len(data) {
			t.Fatalf("%d of %d bytes are shown", n, len(data))
		}
	})
}
