package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestECGRender(t *testing.T) {
	path := sampleFile(t)
	dir := t.TempDir()
	for name, head := range map[string]string{"a.svg": "<svg ", "a.pdf": "%PDF-1.7", "a.png": "\x89PNG", "a.jpg": "\xFF\xD8\xFF"} {
		out := filepath.Join(dir, name)
		if code, _, errs := command("ecg", "render", path, "-o", out, "--lang", "zh", "--filter", "lp40,notch50"); code != exitOK {
			t.Fatalf("%s: %s", name, errs)
		}
		data, err := os.ReadFile(out)
		if err != nil || !strings.HasPrefix(string(data), head) {
			t.Errorf("%s begins with %.10q: %v", name, data, err)
		}
	}
	code, svg, errs := command("ecg", "render", path, "--layout", "12x1", "--speed", "50")
	if code != exitOK || !strings.Contains(svg, "张三") || !strings.Contains(svg, "50 mm/s") || !strings.Contains(svg, "UNCONFIRMED") {
		t.Errorf("%d %s%.300s", code, errs, svg)
	}
	code, thumb, errs := command("ecg", "render", path, "--to", "png", "--thumbnail", "--width", "240")
	if code != exitOK {
		t.Fatal(errs)
	}
	if img, err := png.Decode(bytes.NewReader([]byte(thumb))); err != nil || img.Bounds().Dx() != 240 {
		t.Errorf("thumbnail: %v", err)
	}
	code, pdf, errs := command("ecg", "render", path, "--to", "pdf", "--speed", "50", "--pages", "5")
	if code != exitOK || strings.Count(pdf, "/Type /Page ") != 2 {
		t.Errorf("%d pages of ten seconds at 50 mm/s: %s", strings.Count(pdf, "/Type /Page "), errs)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d files beside the four: %v", len(entries), err)
	}
}

func TestECGRenderRefused(t *testing.T) {
	path := sampleFile(t)
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("no recording"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"have svg, pdf, png, jpg":        {path, "-o", "x.gif"},
		"have 12.5, 25, 50":              {path, "--speed", "30"},
		"have 2.5, 5, 10, 20, 40":        {path, "--gain", "12"},
		"3x4+1, 3x4+3":                   {path, "--layout", "2x6"},
		"lp40, lp100":                    {path, "--filter", "wavelet"},
		"have en, zh":                    {path, "--lang", "de"},
		"more than one page needs a PDF": {path, "--pages", "2"},
		"it has I, ":                     {path, "--rhythm", "II,XYZ"},
		"none after 1m0s":                {path, "--start", "1m"},
		"formats that are read":          {text},
	} {
		code, _, errs := command(append([]string{"ecg", "render"}, args...)...)
		if code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %q, want %q", args, code, errs, want)
		}
	}
	if _, err := os.Stat("x.gif"); err == nil {
		t.Error("a file was left")
	}
}
