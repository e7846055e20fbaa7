package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// otp.escript does the works with OTP's own supervisor, each in a fresh
// virtual machine, which keeps the time itself: its start is not counted.
//
//go:embed otp.escript
var script string

type otp struct{ escript string }

func findOTP() (*otp, error) {
	if _, err := exec.LookPath("erl"); err != nil {
		return nil, errors.New("Erlang/OTP, since there is no erl on the PATH (Debian: erlang-base)")
	}
	path, err := exec.LookPath("escript")
	return &otp{escript: path}, err
}

func (o *otp) name() string { return "Erlang/OTP" }

// measure passes the work's name and the sizes, and reads what it cost and how
// many were done.
func (o *otp) measure(w *work, s size) (got sample, err error) {
	out, err := o.run(w.name, fmt.Sprint(s.Children, s.few(), s.Restarts, s.fewer(), s.Crashers, s.Each, s.Pairs, len(s.levels())-1))
	if out == "-" {
		return got, errDash
	}
	if err == nil {
		_, err = fmt.Sscan(out, &got.Cost, &got.Did)
	}
	if err != nil {
		return got, fmt.Errorf("%w: %s", err, out)
	}
	return got, nil
}

// run runs the script, which must be a file, with the words as arguments.
func (o *otp) run(work, sizes string) (string, error) {
	dir, err := os.MkdirTemp("", "otp")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "otp.escript")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	args := append([]string{file, work}, strings.Fields(sizes)...)
	out, err := exec.Command(o.escript, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
