package dicomecg

import (
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// SOP Classes that are written (PS3.4 §B.5).
const (
	TwelveLeadECG    = "1.2.840.10008.5.1.4.1.1.9.1.1"
	GeneralECG       = "1.2.840.10008.5.1.4.1.1.9.1.2"
	AmbulatoryECG    = "1.2.840.10008.5.1.4.1.1.9.1.3"
	General32BitECG  = "1.2.840.10008.5.1.4.1.1.9.1.4"
	EncapsulatedPDF  = "1.2.840.10008.5.1.4.1.1.104.1"
	maxGroups        = 4  // of General ECG (PS3.3 §A.34.4.4)
	maxChannels      = 24 // of one of its groups
	twelveLeadTotal  = 13 // channels of all groups of a 12-Lead ECG (PS3.3 §A.34.3.4.4)
	twelveLeadGroups = 5
	twelveLeadLength = 16384 // samples of a channel (PS3.3 §A.34.3.4)
	ambulatoryLeads  = 12
)

// classOf chooses the SOP Class. In order: samples or rates that only 32 bits allow; a day's recording, or a
// rate below that of a cart, in the one group of an Ambulatory ECG; the twelve leads and nothing else; and
// General ECG for all that remains, rhythm beside median beat first of all.
func classOf(waves []*wave) (string, error) {
	channels, longest := 0, int64(0)
	wide, fast, slow, below, day := false, false, false, false, false
	for _, w := range waves {
		channels += len(w.order)
		longest = max(longest, w.count)
		wide = wide || w.wide
		fast = fast || w.group.Rate.Cmp(ecg.Int(1000)) > 0
		slow = slow || w.group.Rate.Cmp(ecg.Int(200)) < 0
		below = below || w.group.Rate.Cmp(ecg.Int(50)) < 0
		day = day || w.group.Kind == ecg.FullDisclosure
		if len(w.order) > maxChannels {
			return "", reject.New(reject.TooManyElements, op, "group %d has %d channels, and DICOM allows an ECG %d", w.index, len(w.order), maxChannels)
		}
	}
	if len(waves) == 1 && (day || slow) && !wide && !fast && !below && channels <= ambulatoryLeads {
		return AmbulatoryECG, nil
	}
	if !wide && !fast && !slow && channels <= twelveLeadTotal && len(waves) <= twelveLeadGroups && longest <= twelveLeadLength && twelve(waves) {
		return TwelveLeadECG, nil
	}
	if len(waves) > maxGroups {
		return "", reject.New(reject.TooManyElements, op, "%d groups, and DICOM allows an ECG %d", len(waves), maxGroups)
	}
	if wide || fast || slow {
		return General32BitECG, nil
	}
	return GeneralECG, nil
}

// twelve reports whether the groups together have each of the twelve leads, and all channels are leads.
func twelve(waves []*wave) bool {
	have := map[string]bool{}
	for _, w := range waves {
		if w.group.Kind != ecg.Rhythm {
			return false
		}
		for _, i := range w.order {
			l := &w.group.Leads[i]
			if l.Code == "" {
				return false
			}
			if leadOrder[l.Name] > 0 {
				have[l.Name] = true
			}
		}
	}
	return len(have) == len(leadOrder)
}
