package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// settings are what may change while the shop runs: the file that -config
// names says them, at start and again at each SIGHUP. What it leaves out has
// its default.
type settings struct {
	workers int           // that fulfil orders
	prices  time.Duration // between two refreshments of the prices
	sweep   time.Duration // between two looks for orders left behind
	report  time.Duration // between two lines with the sales; 0 is none, and no such child
}

var defaultSettings = settings{workers: 4, prices: 2 * time.Second, sweep: 2 * time.Second}

// readSettings reads a file; no file is the defaults.
func readSettings(file string) (settings, error) {
	if file == "" {
		return defaultSettings, nil
	}
	text, err := readSome(file, maxSettings+1)
	if err != nil {
		return settings{}, fmt.Errorf("-config: %w", err)
	}
	if len(text) > maxSettings {
		return settings{}, fmt.Errorf("-config: %s has more than %d bytes, which no settings have", filepath.Base(file), maxSettings)
	}
	return parseSettings(filepath.Base(file), text)
}

// maxSettings is how long the file may be: a wrong one can be of any length.
const maxSettings = 64 << 10

// readSome reads a file, or the first n bytes of it.
func readSome(file string, n int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, n))
}

// parseSettings parses {"workers": 4, "prices": "2s", …}. Its error holds every
// fault, each with its line.
func parseSettings(name string, text []byte) (settings, error) {
	p := settingsParser{name: name, text: text, json: json.NewDecoder(bytes.NewReader(text)), settings: defaultSettings, seen: map[string]bool{}}
	p.object()
	return p.settings, errors.Join(p.faults...)
}

type settingsParser struct {
	settings
	name   string
	text   []byte
	json   *json.Decoder
	seen   map[string]bool
	faults []error
}

// object reads the one object that the file is.
func (p *settingsParser) object() {
	if t, err := p.json.Token(); err != nil || t != json.Delim('{') {
		p.fault(`it is no JSON object; write {"workers": 4, "prices": "2s"}`)
		return
	}
	for p.json.More() {
		key, err := p.json.Token()
		var value json.RawMessage
		if err == nil {
			err = p.json.Decode(&value)
		}
		if err != nil {
			p.fault("it is no JSON: %v", err)
			return
		}
		p.set(key.(string), value)
	}
	if _, err := p.json.Token(); err != nil {
		p.fault("it is no JSON: the object has no end")
	} else if _, err := p.json.Token(); err != io.EOF { // More would take a ']' for an end
		p.fault("there is more after the object; remove it")
	}
}

func (p *settingsParser) set(key string, value json.RawMessage) {
	if p.seen[key] {
		p.fault("%q is there twice; remove one", key)
	}
	p.seen[key] = true
	switch key {
	case "workers":
		if json.Unmarshal(value, &p.workers) != nil || p.workers < 1 || p.workers > 64 {
			p.fault(`"workers" is %s; use a number from 1 to 64`, value)
		}
	case "prices":
		p.period(key, value, &p.prices)
	case "sweep":
		p.period(key, value, &p.sweep)
	case "report":
		p.period(key, value, &p.report)
	default:
		p.fault("%q is unknown; there are workers, prices, sweep and report", key)
	}
}

func (p *settingsParser) period(key string, value json.RawMessage, d *time.Duration) {
	var text string
	err := json.Unmarshal(value, &text)
	if err == nil {
		*d, err = time.ParseDuration(text)
	}
	if err != nil || *d < 100*time.Millisecond || *d > 24*time.Hour {
		p.fault(`%q is %s; use a time from "100ms" to "24h"`, key, value)
	}
}

// fault notes one, at the line that was read last.
func (p *settingsParser) fault(format string, args ...any) {
	line := 1 + bytes.Count(p.text[:p.json.InputOffset()], []byte("\n"))
	p.faults = append(p.faults, fmt.Errorf("-config: %s:%d: "+format, append([]any{p.name, line}, args...)...))
}
