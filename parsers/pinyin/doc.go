// Package pinyin spells names that are written in Han characters, so that who types zhangsan finds 张三. Its table of
// readings is made from github.com/mozillazg/go-pinyin (docs/decisions/0020); how surnames are read is its own.
//
// All spellings are lower case a to z: no tones, ü as v, which is how it is typed.
package pinyin
