package formats

import (
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/aecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/cardiosoft"
	"github.com/tributary-dicom/tributary/parsers/ecg/contec"
	"github.com/tributary-dicom/tributary/parsers/ecg/dicomwave"
	"github.com/tributary-dicom/tributary/parsers/ecg/edf"
	"github.com/tributary-dicom/tributary/parsers/ecg/eli"
	"github.com/tributary-dicom/tributary/parsers/ecg/fhir"
	"github.com/tributary-dicom/tributary/parsers/ecg/healforce"
	"github.com/tributary-dicom/tributary/parsers/ecg/ishne"
	"github.com/tributary-dicom/tributary/parsers/ecg/mfer"
	"github.com/tributary-dicom/tributary/parsers/ecg/muse"
	"github.com/tributary-dicom/tributary/parsers/ecg/pdfreport"
	"github.com/tributary-dicom/tributary/parsers/ecg/schiller"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/sierra"
	"github.com/tributary-dicom/tributary/parsers/ecg/wfdb"
	"github.com/tributary-dicom/tributary/parsers/ecg/zoncare"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// decoders is the one list of formats that are read. A new format is one line here.
var decoders = map[sniff.Format]ecg.Decoder{
	sniff.AECG:       aecg.Decode,
	sniff.CardioSoft: cardiosoft.Decode,
	sniff.DICOM:      dicomwave.Decode,
	sniff.MUSE:       muse.Decode,
	sniff.Contec:     contec.Decode,
	sniff.HealForce:  healforce.Decode,
	sniff.SCPECG:     scpecg.Decode,
	sniff.EDF:        edf.Decode,
	sniff.BDF:        edf.Decode,
	sniff.Sierra:     sierra.Decode,
	sniff.ISHNE:      ishne.Decode,
	sniff.ISHNEAnn:   ishne.DecodeAnnotations,
	sniff.ELI:        eli.Decode,
	sniff.Schiller:   schiller.Decode,
	sniff.Zoncare:    zoncare.Decode,
	sniff.WFDBHeader: wfdb.Decode,
	sniff.MFER:       mfer.Decode,
	sniff.FHIR:       fhir.Decode,
	sniff.PDF:        pdfreport.Decode,
}
