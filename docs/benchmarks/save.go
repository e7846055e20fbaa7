package main

import (
	"errors"

	"github.com/coppice-go/coppice/docs/benchmarks/page"
)

// A measured is what one command has measured, and its section of
// docs/performance.md, of the same name.
type measured interface{ report() string }

// keep writes results/name.json and what is made of it.
func keep(name string, m measured) error {
	return errors.Join(page.Save(".", name, m), show(name, m))
}

// show writes the section, and its plots.
func show(name string, m measured) error {
	err := page.Write(".", name, m.report())
	if h, ok := m.(*harvest); ok {
		err = errors.Join(err, h.draw("../plots"))
	}
	return err
}

// sections are all there are, empty.
func sections() map[string]measured {
	return map[string]measured{"race": &standing{}, "grow": &harvest{}, "contend": &pressing{}, "rest": &night{}, "health": &checkup{}}
}

// pageCommand makes the sections from the results again: for who has changed
// how they look.
func pageCommand([]string) error {
	for name, m := range sections() {
		if err := page.Load(".", name, m); err != nil {
			return err
		}
		if err := show(name, m); err != nil {
			return err
		}
	}
	return nil
}
