// Package fault collects what is wrong with a service's Config, so that every
// fault is reported at once, each with its place and its mend.
package fault

import (
	"errors"
	"fmt"
	"reflect"
)

// A List collects faults of one Config.
type List struct {
	service string
	faults  []error
}

// Of returns an empty list for the named service.
func Of(service string) *List { return &List{service: service} }

// Check adds a fault if bad: format names the field and says the mend.
func (l *List) Check(bad bool, format string, args ...any) {
	if bad {
		l.faults = append(l.faults, fmt.Errorf(l.service+": Config."+format, args...))
	}
}

// NotNegative adds a fault for each field of cfg, a struct, that is a negative
// integer or duration.
func (l *List) NotNegative(cfg any) {
	v := reflect.ValueOf(cfg)
	for i := range v.NumField() {
		if f := v.Field(i); f.CanInt() {
			l.Check(f.Int() < 0, "%s is negative (%v); zero means its default", v.Type().Field(i).Name, f)
		}
	}
}

// Err returns the faults as one error, nil if there are none.
func (l *List) Err() error { return errors.Join(l.faults...) }
