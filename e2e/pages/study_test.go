package pages

import (
	"testing"

	"github.com/tributary-dicom/tributary/internal/testbrowser"
)

func TestStudyPage(t *testing.T) {
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		w := theWorld(t)
		for name, uid := range map[string]string{"loops": w.loops.StudyInstanceUID, "heart": w.heart.StudyInstanceUID, "mixed": w.mixed.StudyInstanceUID} {
			tab := page(t, study(uid)+"?"+query, v)
			tab.Axe()
			tab.Screenshot("study-" + name + "-" + query[5:])
		}
	})
}
