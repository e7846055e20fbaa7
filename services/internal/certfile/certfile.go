// Package certfile has a TLS certificate that is in two files, and is renewed
// there.
package certfile

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"
)

// A Pair is a certificate and its key, in PEM files. Get may be called
// concurrently with everything, Load and Renew by one at a time.
type Pair struct {
	Cert, Key string // the files

	live   atomic.Pointer[tls.Certificate]
	failed bool // the last Renew's Load
}

// Load reads the files. On an error the certificate stays what it was.
func (p *Pair) Load() error {
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	p.live.Store(&cert)
	return nil
}

// Renew loads what is in the files now, and says what is wrong with them, or
// that the certificate has expired. One of the two may have been written and the
// other not yet: it is wrong if it is so twice in a row.
//
// It does not ask whether they have changed: reading them costs little, and
// times tell nothing of a mounted Secret, whose files are links.
func (p *Pair) Renew() error {
	err := p.Load()
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

// Get returns the certificate, for tls.Config.GetCertificate.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.live.Load(), nil }
