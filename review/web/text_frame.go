package web

// frameText is the catalogue of the frame and of the search and study pages. Keys that begin with "js." are for
// scripts on every page.
var frameText = catalogue{
	"frame.skip":           {"跳到正文", "Skip to content"},
	"frame.nav":            {"主导航", "Main"},
	"frame.nav.search":     {"检索", "Search"},
	"frame.language.code":  {"en", "zh-CN"},
	"frame.language.other": {"English", "中文"},
	"frame.footer":         {"Tributary · 本页含患者信息，请勿外传", "Tributary · This page shows patients; do not pass it on"},

	"frame.age.years":  {"%d 岁", "%d y"},
	"frame.age.months": {"%d 个月", "%d mo"},
	"frame.age.weeks":  {"%d 周", "%d wk"},
	"frame.age.days":   {"%d 天", "%d d"},
	"frame.sex.male":   {"男", "Male"},
	"frame.sex.female": {"女", "Female"},
	"frame.sex.other":  {"其他", "Other"},

	"frame.error.notfound":         {"没有找到", "Not found"},
	"frame.error.notfound.text":    {"这里没有这个页面、检查或文件。它可能还没有收到，或地址有误。", "There is no such page, study or file here. It may not have arrived yet, or the address is wrong."},
	"frame.error.unavailable":      {"暂时无法读取", "Not available now"},
	"frame.error.unavailable.text": {"索引或存储暂时没有应答。已收到的数据不受影响，请稍后重试。", "The index or the store does not answer now. What was received is safe. Try again in a moment."},
	"frame.error.late":             {"查询时间过长", "That took too long"},
	"frame.error.late.text":        {"请缩小查询范围，或稍后重试。", "Narrow the search, or try again in a moment."},
	"frame.error.internal":         {"内部错误", "Internal error"},
	"frame.error.internal.text":    {"错误已写入日志，请联系管理员。", "It was written to the log. Tell whoever runs this node."},
	"frame.error.foreign":          {"请求被拒绝", "Refused"},
	"frame.error.foreign.text":     {"这个请求来自其他网站。请在本页面上重新操作。", "This request came from another site. Do it again from these pages."},
	"frame.error.back":             {"返回检索", "Back to search"},

	"frame.search.title": {"检查检索", "Studies"},
	"frame.study.title":  {"检查", "Study"},
}
