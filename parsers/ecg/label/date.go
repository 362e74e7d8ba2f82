package label

import (
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

var months = map[string]int{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}

// Date reads what ecg.ParseTime reads, years and months without leading zeros, "2024年2月9日 8时05分", and dates
// with the month's name ("25 Jan 2013 09:54", "Jan 25, 2013"). Of "03/04/2020" nobody can tell the month: it stays
// text, unless one number is beyond 12.
func Date(value string) ecg.Time {
	value = strings.TrimSpace(value)
	if len(value) > 64 {
		return ecg.Time{Raw: value}
	}
	if t := ecg.ParseTime(value); t.Valid() {
		return t
	}
	return parse(value, false)
}

// DateMonthFirst is Date for formats that write the month first.
func DateMonthFirst(value string) ecg.Time {
	if t := Date(value); t.Valid() || len(value) > 64 {
		return t
	}
	return parse(strings.TrimSpace(value), true)
}

func parse(value string, monthFirst bool) ecg.Time {
	none := ecg.Time{Raw: value}
	words := strings.FieldsFunc(strings.NewReplacer("年", "-", "月", "-", "日", " ", "号", " ", "时", ":", "點", ":", "点", ":", "分", ":", "秒", " ").Replace(value), func(r rune) bool {
		return strings.ContainsRune(" -/.,:T", r)
	})
	month := 0
	var n []int
	for i, w := range words {
		if len(w) >= 3 {
			if m := months[strings.ToLower(w[:3])]; m > 0 {
				if month != 0 || i > 1 {
					return none
				}
				month = m
				continue
			}
		}
		if len(w) > 4 {
			return none
		}
		v, err := strconv.Atoi(w)
		if err != nil || v < 0 {
			return none
		}
		n = append(n, v)
	}
	var year, day int
	switch {
	case month > 0 && len(n) >= 2 && n[1] > 31:
		year, day, n = n[1], n[0], n[2:]
	case month > 0 && len(n) >= 2 && n[0] > 31:
		year, day, n = n[0], n[1], n[2:]
	case month == 0 && len(n) >= 3 && n[0] > 31:
		year, month, day, n = n[0], n[1], n[2], n[3:]
	case month == 0 && len(n) >= 3 && n[2] > 31 && (monthFirst || n[1] > 12 || n[0] == n[1]):
		year, month, day, n = n[2], n[0], n[1], n[3:]
	case month == 0 && len(n) >= 3 && n[2] > 31 && n[0] > 12:
		year, month, day, n = n[2], n[1], n[0], n[3:]
	default:
		return none
	}
	if len(n) == 1 || len(n) > 3 {
		return none
	}
	clock := len(n) > 0
	for len(n) < 3 {
		n = append(n, 0)
	}
	t := ecg.NewTime(value, year, month, day, n[0], n[1], n[2], 0, nil)
	t.DateOnly = t.Valid() && !clock
	return t
}
