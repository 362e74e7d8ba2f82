package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tributary-dicom/tributary/ecgout/draw"
)

// Limits of a search: fonts beyond them are not seen.
const (
	maxFontFiles = 2000
	maxFontBytes = 32 << 20 // of one font
	maxFontsKept = 4        // fonts in memory
)

// systemFonts finds fonts of the machine for what the built-in ones of package draw lack: Hangul, Thai,
// Arabic, hanzi that are younger than the built-in font. A drawing that needs none of them never comes here,
// so drawings differ between machines only where the alternative is a box with a code point. Folders are
// read when a rune is first asked for.
type systemFonts struct {
	folders []string

	mu    sync.Mutex
	files []string // paths, in order; nil before the first search
	fonts []*draw.Font
	none  map[rune]bool // runes that no font has
}

// newSystemFonts returns the fonts of some folders, or of those where systems keep their fonts.
func newSystemFonts(folders ...string) *systemFonts {
	if len(folders) == 0 {
		folders = []string{"/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", `C:\Windows\Fonts`}
		if home, err := os.UserHomeDir(); err == nil {
			folders = append(folders, filepath.Join(home, ".fonts"), filepath.Join(home, ".local/share/fonts"))
		}
	}
	return &systemFonts{folders: folders, none: map[rune]bool{}}
}

// Find returns the first font, by path, that has r.
func (s *systemFonts) Find(r rune) *draw.Font {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.fonts {
		if f.Has(r) {
			return f
		}
	}
	if s.none[r] || len(s.fonts) >= maxFontsKept || len(s.none) > 1000 {
		return nil
	}
	if s.files == nil {
		s.files = listFonts(s.folders)
	}
	for _, path := range s.files {
		f := loadFont(path)
		if f != nil && f.Has(r) {
			s.fonts = append(s.fonts, f)
			return f
		}
	}
	s.none[r] = true
	return nil
}

func listFonts(folders []string) []string {
	files := []string{}
	for _, folder := range folders {
		// What cannot be read has no fonts for us.
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			switch ext := strings.ToLower(filepath.Ext(path)); {
			case err != nil && d == nil:
				return filepath.SkipAll
			case err != nil:
				return nil //nolint:nilerr // a folder that cannot be read is passed over
			case len(files) >= maxFontFiles:
				return filepath.SkipAll
			case d.Type().IsRegular() && (ext == ".ttf" || ext == ".otf" || ext == ".ttc"):
				files = append(files, path)
			}
			return nil
		})
	}
	slices.SortStableFunc(files, func(a, b string) int { return fontRank(a) - fontRank(b) })
	return files
}

// fontRank puts upright fonts of normal weight first.
func fontRank(path string) int {
	name := strings.ToLower(filepath.Base(path))
	n := 0
	for _, word := range []string{"bold", "italic", "oblique", "light", "black", "thin", "mono", "serif", "condensed", "medium"} {
		if strings.Contains(name, word) {
			n++
		}
	}
	if strings.Contains(name, "regular") {
		n--
	}
	return n
}

func loadFont(path string) *draw.Font {
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxFontBytes {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	f, err := draw.ParseFont(data)
	if err != nil {
		return nil
	}
	return f
}
