package pinyin

import (
	"strings"
	"sync"
)

// singles are surnames that are not read as the character is elsewhere, or that several families read differently:
// the characters (simplified, traditional), then the readings, the likeliest first.
const singles = `
单單 shan dan chan|曾 zeng ceng|仇 qiu chou|解 xie jie|区區 ou qu|查 zha cha|朴 piao pu|任 ren|华華 hua|盖蓋 ge gai
翟 zhai di|乐樂 yue le|召 shao zhao|员員 yun yuan|折 she zhe|缪繆 miao mou|冼洗 xian|覃 qin tan|隗 wei kui|宓 mi fu
种 chong zhong|重 chong zhong|繁 po fan|黑 he hei|秘祕 bi mi|逄逢 pang feng|逯 lu|句 gou ju|过過 guo|晟 cheng sheng
谌諶 chen shen|佴 nai er|都 du dou|那 na|郇 xun huan|尉 wei yu|薄 bo|柏 bai bo|车車 che|晁 chao|牟 mou mu|宁寧甯 ning
莘 shen xin|眭 sui|訾 zi|祭 zhai ji|占 zhan|藏 zang cang|瞿 qu|阚闞 kan|曲麴 qu|强強 qiang|乜 nie|炅 gui jiong|应應 ying
钭鈄 tou|郗 xi chi|郄 qie xi|阙闕 que|迮 ze|仉 zhang|笪 da|颉頡 xie jie|撒 sa|贲賁 ben bi|费費 fei bi|盛 sheng cheng
粘 nian zhan|能 nai neng|呙咼 guo wai|宿 su|镡鐔 tan xin chan|畲 she|石 shi|纪紀 ji|观觀 guan|干 gan|朝 chao|适適 shi kuo
兴興 xing|少 shao|葛 ge|叶葉 ye|于 yu|余 yu|俞 yu shu|哈 ha|万萬 wan|长長 chang zhang|行 xing hang|相 xiang|尹 yin|肖 xiao
佘 she|沈瀋 shen|贾賈 jia|夏 xia|卜 bu|褚 chu|殷 yin|盘盤 pan|奇 qi|洪 hong|降 jiang|邸 di|蕃 bo fan|皮 pi|仡 ge yi
戏戲 xi|角 jue jiao|可 ke|没沒 mo mei|南 nan|宗 zong|辟闢 pi bi|枝 zhi qi|臭 xiu chou|母 mu|甯 ning|不 fou bu|把 ba|便 pian bian
参參 shen can|大 da dai|氏 shi|提 di ti|厦廈 xia sha|识識 shi|嚯 huo|吕呂 lv|律 lv|陆陸 lu|女 nv ru|闾閭 lv|郦酈 li|啜 chuai chuo`

// plain are characters of many names, whose further readings in dictionaries are of other words or times.
const plain = `王吴吳朱冯馮董邓鄧许許彭蔡丁潘杜汪方姚郝白汤湯施陶倪温溫芦蘆焦邢路齐齊莫庄莊祝涂塗谷祁舒詹童甄游遊裴屈位霍隋甘景包司阮柴冉房净
尚冷娜英洋明超平红紅家立俊浩波彬信冰月倩思洁潔淑弟才达達前胜勝百喜年增广廣传傳承治和亨祖大石宁寧强強万萬重庆慶车車卢盧鲁魯龙龍严嚴潇瀟`

// doubles are surnames of two characters, likewise: by them a name without a division is divided, and they are read so.
const doubles = `
欧阳歐陽 ou yang|司马司馬 si ma|诸葛諸葛 zhu ge|上官 shang guan|皇甫 huang fu|尉迟尉遲 yu chi|长孙長孫 zhang sun|万俟萬俟 mo qi
澹台澹臺 tan tai|令狐 ling hu|鲜于鮮于 xian yu|亓官 qi guan|夏侯 xia hou|单于單于 chan yu|慕容 mu rong|司徒 si tu|司空 si kong
司寇 si kou|东方東方 dong fang|南宫南宮 nan gong|端木 duan mu|公孙公孫 gong sun|公冶 gong ye|公羊 gong yang|宇文 yu wen
轩辕軒轅 xuan yuan|钟离鍾離 zhong li|独孤獨孤 du gu|西门西門 xi men|闻人聞人 wen ren|太叔 tai shu|申屠 shen tu|濮阳濮陽 pu yang
淳于 chun yu|仲孙仲孫 zhong sun|第五 di wu|百里 bai li|东郭東郭 dong guo|南门南門 nan men|羊舌 yang she|微生 wei sheng
梁丘 liang qiu|左丘 zuo qiu|拓跋 tuo ba|纳兰納蘭 na lan|完颜完顏 wan yan|呼延 hu yan|赫连赫連 he lian|宗政 zong zheng
叔孙叔孫 shu sun|宰父 zai fu|谷梁穀梁 gu liang|乐正樂正 yue zheng|漆雕 qi diao|公西 gong xi|公良 gong liang|壤驷壤駟 rang si
夹谷夾谷 jia gu|段干 duan gan|巫马巫馬 wu ma|子车子車 zi ju|颛孙顓孫 zhuan sun|闾丘閭丘 lv qiu|达奚達奚 da xi|贺兰賀蘭 he lan
贺若賀若 he ruo|哥舒 ge shu|耶律 ye lv|尔朱爾朱 er zhu|斛律 hu lv|屈突 qu tu|赵李趙李 zhao li|叶赫葉赫 ye he|那拉 na la`

// surnames by their characters; each character has its readings.
var surnames = sync.OnceValue(func() map[string][][]string {
	m := make(map[string][][]string, 512)
	entries := func(list string) func(func([]rune, []string) bool) {
		return func(yield func([]rune, []string) bool) {
			for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == '|' || r == '\n' }) {
				f := strings.Fields(entry)
				if !yield([]rune(f[0]), f[1:]) {
					return
				}
			}
		}
	}
	for written, read := range entries(singles) {
		for _, r := range written {
			m[string(r)] = [][]string{asTyped(read)}
		}
	}
	for written, read := range entries(doubles) {
		for i := 0; i < len(written); i += 2 {
			m[string(written[i:i+2])] = [][]string{asTyped(read[:1]), asTyped(read[1:])}
		}
	}
	return m
})
