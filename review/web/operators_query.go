package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/storage/index"
)

// Bounds of lists: rows of a page, and how far one can page by offset.
const (
	receiptsPageRows   = 50
	quarantinePageRows = 50
	conflictsPageRows  = 20
	maxOffset          = 1_000_000
	maxDeviceText      = 64 // characters of a device's name, as doors keep it
)

// receiptFilter is what /pages/receipts asks for by its address. Its zero value is the newest of all.
type receiptFilter struct {
	Status string // one of listedStatuses, or ""
	Door   string // one of listedDoors, or ""
	Device string // exactly
	Before string // cursor: object id of the last row of the page before, or ""
}

// parseReceiptFilter reads the filter. What is no status, door, cursor or name is left out: an address that somebody
// shortened or that a newer version made shows more than was meant, and not an error.
func parseReceiptFilter(q url.Values) receiptFilter {
	var f receiptFilter
	if s := q.Get("status"); slices.Contains(listedStatuses, s) {
		f.Status = s
	}
	if s := q.Get("door"); slices.Contains(listedDoors, s) {
		f.Door = s
	}
	f.Device = plainText(q.Get("device"), maxDeviceText)
	if s := q.Get("before"); validCursor(s) {
		f.Before = s
	}
	return f
}

// values is the filter as an address has it.
func (f receiptFilter) values() url.Values {
	q := url.Values{}
	for _, p := range [][2]string{{"status", f.Status}, {"door", f.Door}, {"device", f.Device}, {"before", f.Before}} {
		if p[1] != "" {
			q.Set(p[0], p[1])
		}
	}
	return q
}

// link is the address of the page with this filter.
func (f receiptFilter) link() string {
	if q := f.values().Encode(); q != "" {
		return "/pages/receipts?" + q
	}
	return "/pages/receipts"
}

func (f receiptFilter) query(tenant string, limit int) index.ArrivalQuery {
	return index.ArrivalQuery{Tenant: tenant, Before: f.Before, Limit: limit, Status: f.Status, Door: f.Door, Device: f.Device}
}

// ulidLength is the length of an object id, in the alphabet of Crockford's base 32.
const ulidLength = 26

// validCursor reports whether s is an object id that a page can end with.
func validCursor(s string) bool {
	return len(s) == ulidLength && strings.Trim(s, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

// plainText is what a person typed, without what cannot be printed, cut after max characters.
func plainText(s string, max int) string {
	if !utf8.ValidString(s) {
		return ""
	}
	var b strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if n == max {
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			n++
		}
	}
	return strings.TrimSpace(b.String())
}

// parseOffset reads where a list begins that is paged by offset.
func parseOffset(q url.Values) int {
	n, err := strconv.Atoi(q.Get("offset"))
	if err != nil || n < 0 {
		return 0
	}
	return min(n, maxOffset)
}
