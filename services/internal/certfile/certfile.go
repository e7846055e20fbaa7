// Package certfile has a TLS certificate that is in two files, and is renewed
// there.
package certfile

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"
)

// A Pair is a certificate and its key, in PEM files. Its methods may be called
// concurrently, but Renew, by one at a time.
type Pair struct {
	Cert, Key string // the files

	live   atomic.Pointer[tls.Certificate]
	failed bool // did the last Renew find something wrong with the files?
}

// Require makes sure that there is a certificate: what is in the files now, or
// else the one that was there before.
func (p *Pair) Require() error {
	err := p.load()
	if p.live.Load() != nil {
		return nil // Renew will tell
	}
	return err
}

// load reads the files. On an error the certificate stays what it was.
func (p *Pair) load() error {
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	p.live.Store(&cert)
	return nil
}

// Renew, after Require, loads what is in the files now, and says what is wrong with them, or
// that the certificate has expired. One of the two may have been written and the
// other not yet: it is wrong if it is so twice in a row.
//
// It does not ask whether they have changed: reading them costs little, and
// times tell nothing of a mounted Secret, whose files are links.
func (p *Pair) Renew() error {
	err := p.load()
	again := p.failed
	p.failed = err != nil
	if err != nil && again {
		return err
	}
	if end := p.live.Load().Leaf.NotAfter; time.Now().After(end) {
		return fmt.Errorf("certificate %s expired at %s", p.Cert, end.Format(time.RFC3339))
	}
	return nil
}

// Get returns the certificate, after Require, for tls.Config.GetCertificate.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.live.Load(), nil }
