package browsertest

import (
	"fmt"
	"testing"

	"github.com/coppice-go/coppice/health"
)

// shots takes pictures of a state in both themes, wide and narrow.
func shots(b *browser, url, name string) {
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 400} {
			b.open(url, theme, width)
			b.await(`document.querySelector("#link").textContent === "Live"`)
			b.shoot(fmt.Sprintf("%s-%s-%d", name, theme, width))
			if eval[bool](b, `!!document.querySelector(".broken .drawer")`) {
				eval[any](b, `document.querySelector(".broken .drawer").open = true, window.scrollTo(0, 0), 1`)
				b.shoot(fmt.Sprintf("%s-drawer-%s-%d", name, theme, width))
			}
		}
	}
}

func TestGreen(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	shots(b, s.url, "green")
	b.requireQuiet()
}

func TestFailing(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	s.breaks("w2", errBug)
	b.await(`document.body.textContent.includes("charge: nil card")`)
	s.breaks("w2", nil)
	s.breaks("db", errAway)
	s.breaks("cache-probe", errBadData)
	s.breaks("feed", errAway)
	b.await(`document.body.textContent.includes("attempt 4")`)
	shots(b, s.url, "failing")
	b.requireQuiet()
}

func TestGaveUp(t *testing.T) {
	b, s := browse(t), open(t, health.AdminOptions{})
	b.open(s.url, "light", 1280)
	s.breaks("http", errBug)
	b.await(`document.title.startsWith("Gave up")`)
	shots(b, s.url, "gaveup")
	b.requireQuiet()
}
