package dict

import (
	"sort"
	"sync"
)

//go:generate go run ./gen -in ../../../shared/standards/dicom/attributes.json -out table.go

// attribute is one line of the dictionary; vr is an index of vrs.
type attribute struct {
	tag     uint32
	vr      uint8
	keyword string
}

// VR returns the value representation of tag, "" when unknown. Where the standard leaves a choice the
// candidates are joined by slashes: "US/SS", "OB/OW", "US/SS/OW", "US/OW". Group lengths (gggg,0000) are
// "UL" and private creators (odd group, elements 0010 to 00FF) are "LO" (PS3.5 §7.2, §7.8.1); items and
// delimiters have none.
func VR(tag uint32) string {
	if a := find(tag); a != nil {
		return vrs[a.vr]
	}
	switch group, element := tag>>16, tag&0xFFFF; {
	case element == 0:
		return "UL"
	case group&1 == 1 && group > 8 && element >= 0x10 && element <= 0xFF:
		return "LO"
	}
	return ""
}

// Keyword returns the keyword of tag, "" when it is unknown or private.
func Keyword(tag uint32) string {
	if a := find(tag); a != nil {
		return a.keyword
	}
	return ""
}

// Tag returns the tag of keyword; of a repeating attribute such as OverlayData, the one
// with zeros for its free digits (6000,3000).
func Tag(keyword string) (uint32, bool) {
	if keyword == "" {
		return 0, false
	}
	order := byKeyword()
	i := sort.Search(len(order), func(i int) bool { return at(order[i]).keyword >= keyword })
	if i < len(order) {
		if a := at(order[i]); a.keyword == keyword {
			return a.tag, true
		}
	}
	return 0, false
}

// find returns the attribute of tag, nil when there is none.
func find(tag uint32) *attribute {
	low, high := 0, len(attributes)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if attributes[mid].tag < tag {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(attributes) && attributes[low].tag == tag {
		return &attributes[low]
	}
	if tag>>16&1 == 1 {
		return nil // private groups repeat nothing (PS3.5 §7.6: xx is even)
	}
	switch tag >> 24 {
	case 0x00, 0x10, 0x50, 0x60, 0x7F:
		for i := range repeating {
			if r := &repeating[i]; tag&r.mask == r.tag {
				return &r.attribute
			}
		}
	}
	return nil
}

// at returns the attribute with index i where repeating follows attributes.
func at(i uint16) *attribute {
	if n := len(attributes); int(i) >= n {
		return &repeating[int(i)-n].attribute
	}
	return &attributes[i]
}

// byKeyword returns the indexes of all attributes, as at takes them, in the order of their keywords.
var byKeyword = sync.OnceValue(func() []uint16 {
	order := make([]uint16, len(attributes)+len(repeating))
	for i := range order {
		order[i] = uint16(i)
	}
	sort.Slice(order, func(i, j int) bool { return at(order[i]).keyword < at(order[j]).keyword })
	return order
})
