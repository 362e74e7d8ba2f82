package dicomecg

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// PDFPlan is an Encapsulated PDF (PS3.3 §A.45.1) that is ready to be written.
type PDFPlan struct {
	SOPInstanceUID    string
	StudyInstanceUID  string
	SeriesInstanceUID string
	Size              int64 // bytes of the file
	Warnings          []ecg.Warning

	head []byte // up to the value of Encapsulated Document
	size int64  // of the PDF
}

// NewPDF makes the header around a PDF of size bytes. rec says what is known about patient, time and device of
// the report; it needs no groups, and may be nil. title is for people.
func NewPDF(size int64, title string, rec *ecg.Recording, opt Options) (*PDFPlan, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if size <= 0 || size >= undefinedLength-1 {
		return nil, reject.New(reject.TooLarge, "dicomecg.NewPDF", "a document of %d bytes: an element holds 4 GiB", size)
	}
	if rec == nil {
		rec = &ecg.Recording{}
	}
	if rec.Format == "" {
		named := *rec
		named.Format = "pdf"
		rec = &named
	}
	p := &Plan{}
	p.identify(rec, opt, EncapsulatedPDF)
	b := &builder{rec: rec, opt: opt, plan: p, t: &texts{charset: opt.Charset, warn: p.warn}}
	d := &dataset{t: b.t}
	b.sopCommon(d)
	b.patient(d)
	b.study(d)
	b.series(d)
	b.equipment(d)
	b.source(d)
	document(d, rec, title)
	out := &PDFPlan{SOPInstanceUID: p.SOPInstanceUID, StudyInstanceUID: p.StudyInstanceUID, SeriesInstanceUID: p.SeriesInstanceUID, size: size}
	out.head = part10.AppendFileMeta(nil, part10.FileMeta{
		MediaStorageSOPClassUID: EncapsulatedPDF, MediaStorageSOPInstanceUID: p.SOPInstanceUID, TransferSyntaxUID: uid.ExplicitVRLittleEndian,
	})
	out.head = d.appendTo(out.head)
	out.head = appendLongHeader(out.head, 0x00420011, "OB", uint32(size+size%2))
	out.Warnings = p.Warnings
	out.Size = int64(len(out.head)) + size + size%2 + int64(len(out.behind()))
	return out, nil
}

// document is SC Equipment and Encapsulated Document (PS3.3 §C.8.6.1, §C.24.2), up to the document.
func document(d *dataset, rec *ecg.Recording, title string) {
	d.ascii(0x00080064, "CS", "WSD")
	d.ascii(0x00200013, "IS", "1")
	date, clock := studyTime(rec.Acquired)
	d.ascii(0x00080023, "DA", date)
	d.ascii(0x00080033, "TM", clock)
	acquired := date + clock
	if clock != "" && rec.Acquired.ZoneKnown {
		acquired += rec.Acquired.Time.Format("-0700")
	}
	d.ascii(0x0008002A, "DT", acquired)
	d.ascii(0x00280301, "CS", "YES") // names stand on the page
	if title == "" {
		title = "ECG report"
	}
	d.text(0x00420010, "ST", title)
	d.code(0x0040A043, code{"11524-6", "LN", "EKG study"})
}

// behind are the elements that follow the document.
func (p *PDFPlan) behind() []byte {
	var d dataset
	d.ascii(0x00420012, "LO", "application/pdf")
	d.long(0x00420015, uint32(p.size))
	return d.appendTo(nil)
}

// errNoPDF says that what was read is no PDF, or not as long as was said.
var errNoPDF = errors.New("the document is no PDF of the size that was announced")

// WriteTo streams pdf, which must give the announced number of bytes, into the object.
func (p *PDFPlan) WriteTo(w io.Writer, pdf io.Reader) error {
	const magic = "%PDF-"
	head := make([]byte, min(int64(1024), p.size))
	if _, err := io.ReadFull(pdf, head); err != nil {
		return fmt.Errorf("dicomecg: read the document: %w", err)
	}
	if !bytes.Contains(head, []byte(magic)) {
		return errNoPDF
	}
	if _, err := w.Write(p.head); err != nil {
		return err
	}
	n, err := io.Copy(w, io.MultiReader(bytes.NewReader(head), io.LimitReader(pdf, p.size-int64(len(head)))))
	if err != nil {
		return err
	}
	if n != p.size {
		return errNoPDF
	}
	if p.size%2 == 1 {
		if _, err := w.Write([]byte{0}); err != nil {
			return err
		}
	}
	_, err = w.Write(p.behind())
	return err
}

// WritePDF writes an Encapsulated PDF of a document of size bytes.
func WritePDF(w io.Writer, pdf io.Reader, size int64, title string, rec *ecg.Recording, opt Options) error {
	p, err := NewPDF(size, title, rec, opt)
	if err != nil {
		return err
	}
	return p.WriteTo(w, pdf)
}
