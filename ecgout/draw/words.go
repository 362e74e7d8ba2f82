package draw

import "github.com/tributary-dicom/tributary/parsers/ecg"

// word is one of the drawing's own words.
type word int

const (
	wUnconfirmed word = iota
	wConfirmed
	wMachine
	wOverRead
	wNoStatements
	wMore
	wID
	wBorn
	wAcquired
	wLocal
	wNoTime
	wNoName
	wDevice
	wRate
	wPR
	wQRS
	wQT
	wAxes
	wPaced
	wFilters
	wFiltersOff
	wRecorded
	wHighPass
	wLowPass
	wNotch
	wNotRecorded
	wMedianBeats
	wNotDrawn
	wShifted
	wBeyond
	wNoEffect
	wSpikes
	wDerived
	wOf
	wOther
	wNoVoltage
)

var words = map[Language][]string{
	English: {
		wUnconfirmed: "UNCONFIRMED", wConfirmed: "Confirmed", wMachine: "Machine reading", wOverRead: "Over-read",
		wNoStatements: "No reading in the recording", wMore: "more", wID: "ID", wBorn: "born", wAcquired: "Recorded",
		wLocal: "local time", wNoTime: "time not known", wNoName: "(no name)", wDevice: "Device",
		wRate: "Rate", wPR: "PR", wQRS: "QRS", wQT: "QT / QTc", wAxes: "P-QRS-T axes", wPaced: "Pacemaker",
		wFilters: "display filters", wFiltersOff: "display filters off", wRecorded: "recorded with",
		wHighPass: "high-pass", wLowPass: "low-pass", wNotch: "notch", wNotRecorded: "not recorded",
		wMedianBeats: "Median beats", wNotDrawn: "Also recorded, not drawn", wShifted: "Baseline shifted",
		wBeyond: "Reaches beyond the drawing", wNoEffect: "without effect at this sampling frequency",
		wSpikes: "Marks below the traces: pacemaker spikes as the device found them", wDerived: "* computed from other leads",
		wOf: "of", wOther: "other", wNoVoltage: "no voltage",
	},
	Chinese: {
		wUnconfirmed: "未确认", wConfirmed: "已确认", wMachine: "机器诊断", wOverRead: "医生诊断",
		wNoStatements: "记录中无诊断", wMore: "行未显示", wID: "编号", wBorn: "出生", wAcquired: "记录时间",
		wLocal: "当地时间", wNoTime: "时间未知", wNoName: "（无姓名）", wDevice: "设备",
		wRate: "心率", wPR: "PR间期", wQRS: "QRS时限", wQT: "QT / QTc", wAxes: "P-QRS-T电轴", wPaced: "起搏器",
		wFilters: "显示滤波", wFiltersOff: "显示滤波关", wRecorded: "记录频带",
		wHighPass: "高通", wLowPass: "低通", wNotch: "陷波", wNotRecorded: "未采集",
		wMedianBeats: "代表性心搏", wNotDrawn: "另有记录，未绘出", wShifted: "基线已平移",
		wBeyond: "超出绘图范围", wNoEffect: "在此采样率下无作用",
		wSpikes: "波形下方标记：设备检出的起搏脉冲", wDerived: "* 由其他导联计算",
		wOf: "共", wOther: "其他", wNoVoltage: "非电压",
	},
}

func (l Language) word(w word) string { return words[l][w] }

// sexes and ages are what files say in codes.
func (l Language) sex(code string) string {
	if zh := map[string]string{"M": "男", "F": "女", "O": "其他"}[code]; l == Chinese && zh != "" {
		return zh
	}
	return clean(code, 20)
}

func (l Language) age(q ecg.Quantity) string {
	if !q.Known() || q.Value.Sign() < 0 {
		return ""
	}
	units := map[string]string{"a": " y", "mo": " mo", "wk": " wk", "d": " d", "h": " h"}
	if l == Chinese {
		units = map[string]string{"a": "岁", "mo": "个月", "wk": "周", "d": "天", "h": "小时"}
	}
	unit, ok := units[q.Unit]
	if !ok {
		unit = " " + clean(q.Unit, 12)
	}
	return number(q.Value) + unit
}
