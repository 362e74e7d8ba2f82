package indextest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

var (
	surnames = []string{
		"Zhang 张", "Wang 王", "Li 李", "Liu 刘", "Chen 陈", "Yang 杨", "Zhao 赵", "Huang 黄", "Zhou 周", "Wu 吴", "Xu 徐", "Sun 孙",
		"Hu 胡", "Zhu 朱", "Gao 高", "Lin 林", "He 何", "Guo 郭", "Ma 马", "Luo 罗",
	}
	givenNames = []string{"Wei 伟", "Fang 芳", "Na 娜", "Min 敏", "Jing 静", "Lei 磊", "Jun 军", "Yang 洋", "Yan 艳", "Jie 杰", "Tao 涛", "Ming 明"}
	kinds      = []string{"US", "US", "US", "ECG", "ECG", "DX", "CT", "SR"}
)

// County makes records of a county's studies, the same for the same arguments: twenty surnames, ten
// years of dates, of every fifth study a second series, and a header of some 1.5 KB each.
func County(t testing.TB, studies, instancesEach int) []eventlog.Record {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 11))
	tape := NewTape(t)
	filler := strings.Repeat(`"00081140":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.840.113619.2.55.3"]}}]},`, 4)
	for i := range studies {
		surname, hanzi, _ := strings.Cut(surnames[random.IntN(len(surnames))], " ")
		given, character, _ := strings.Cut(givenNames[random.IntN(len(givenNames))], " ")
		day := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, random.IntN(3650))
		clock := fmt.Sprintf("%02d%02d%02d", random.IntN(24), random.IntN(60), random.IntN(60))
		kind := kinds[random.IntN(len(kinds))]
		study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d.%d", 10_000_000+i, random.IntN(1_000_000))
		birth := fmt.Sprintf("19%02d%02d%02d", random.IntN(100), 1+random.IntN(12), 1+random.IntN(28))
		for n := range instancesEach {
			series := fmt.Sprintf("%s.%d", study, 1+n*2/instancesEach*(i%5/4))
			attributes := map[string]string{
				"PatientName": surname + "^" + given + "=" + hanzi + "^" + character, "PatientID": fmt.Sprintf("P%07d", i*7919%max(studies, 1)),
				"IssuerOfPatientID": "COUNTY", "PatientBirthDate": birth,
				"PatientSex": "F", "StudyDate": day.Format("20060102"), "StudyTime": clock, "AccessionNumber": fmt.Sprintf("A%08d", i),
				"StudyDescription": "腹部超声 Abdomen", "StudyID": fmt.Sprint(i), "ReferringPhysicianName": "Li^Wei=李^伟",
				"Modality": kind, "SeriesNumber": fmt.Sprint(1 + n*2/instancesEach), "SeriesDescription": "Liver", "BodyPartExamined": "ABDOMEN",
				"Manufacturer": "Example", "StationName": "KIT-7", "InstitutionName": "Township hospital",
				"PerformedProcedureStepStartDate": day.Format("20060102"), "InstanceNumber": fmt.Sprint(n + 1), "Rows": "480", "Columns": "640",
				"BitsAllocated": "8", "ContentDate": day.Format("20060102"), "ContentTime": clock, "ImageType": `ORIGINAL\PRIMARY`,
				"PhotometricInterpretation": "RGB", "SamplesPerPixel": "3", "NumberOfFrames": "1",
			}
			var header strings.Builder
			header.WriteString("{" + filler)
			for k, v := range attributes {
				fmt.Fprintf(&header, `"%s":{"vr":"LO","Value":[%q]},`, k, v)
			}
			header.WriteString(`"7FE00010":{"vr":"OW","BulkDataURI":"bulkdata/7FE00010"}}`)
			tape.Stored(Instance{
				Study: study, Series: series, SOP: fmt.Sprintf("%s.%d", series, n+1), Object: fmt.Sprintf("01J%013d%010d", i, n),
				Received: Epoch.Add(time.Duration(i*instancesEach+n) * time.Second), Attributes: attributes, Header: header.String(),
				Layout: `{"frames":{"kind":"native","count":1,"offset":2048,"frame_bits":7372800},"bulk":[{"path":"7FE00010","vr":"OW","offset":2048,"length":921600}]}`,
			})
		}
	}
	return tape.Records
}
