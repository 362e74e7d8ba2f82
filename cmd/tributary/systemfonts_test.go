package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

func TestSystemFonts(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"a-Bold.ttf": gobold.TTF, "b-Regular.ttf": goregular.TTF, "broken.ttf": []byte("no font"), "notes.txt": goregular.TTF,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newSystemFonts(dir, filepath.Join(dir, "absent"))
	f := s.Find('Ж')
	if f == nil || !f.Has('Ж') {
		t.Fatal("no font with Ж")
	}
	if s.Find('Ж') != f {
		t.Error("another font for the same rune")
	}
	if len(s.files) != 3 || filepath.Base(s.files[0]) != "b-Regular.ttf" {
		t.Errorf("searched %v", s.files)
	}
	if s.Find('王') != nil || !s.none['王'] {
		t.Error("a font that has no hanzi was found for one")
	}
}
