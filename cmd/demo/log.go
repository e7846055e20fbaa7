package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"github.com/coppice-go/coppice/supervisor/redact"
)

// newLog returns the log, which goes to w: for people on a terminal, JSON
// lines elsewhere, unless the form says which.
func newLog(form string, w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.ErrorMarshalFunc = func(err error) any { return redact.Secrets(err.Error()) }
	if forPeople(form, w) {
		w = zerolog.ConsoleWriter{
			Out: w, NoColor: !isTerminal(w) || os.Getenv("NO_COLOR") != "",
			TimeFormat: "15:04:05.000", FormatPrepare: pathFirst, FieldsExclude: []string{"seq"},
		}
	}
	return zerolog.New(w).Level(zerolog.InfoLevel).With().Timestamp().Logger()
}

// takeAll has the log take what packages say by slog and log, too.
func takeAll(log zerolog.Logger) { slog.SetDefault(slog.New(zerolog.NewSlogHandler(log))) }

func forPeople(form string, w io.Writer) bool {
	return form == "human" || form == "auto" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}

// pathFirst makes a line of the tree read as a sentence.
func pathFirst(line map[string]any) error {
	if path, ok := line["path"]; ok {
		line[zerolog.MessageFieldName] = fmt.Sprintf("%v %v", path, line[zerolog.MessageFieldName])
		delete(line, "path")
	}
	return nil
}
