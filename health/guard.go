package health

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded lets only those in who may see the admin side, and sets the headers
// that confine what a browser does with it.
func guarded(h http.Handler, token string) http.Handler {
	admit := admitLocal
	if token != "" {
		admit = admitToken(token)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		confine(w.Header())
		if refusal, ok := admit(w, r); !ok {
			refusal.write(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// csp allows the page's own style, module and requests, and nothing else.
const csp = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// confine sets them. The referrer policy is not stricter since a browser sends
// "Origin: null" with forms then, even to the origin itself.
func confine(h http.Header) {
	h.Set("Content-Security-Policy", csp)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
}

type admission func(w http.ResponseWriter, r *http.Request) (refusal answer, ok bool)

// admitToken compares digests, so that neither the token's length nor how much
// of it was right shows in the time that it takes.
func admitToken(token string) admission {
	want := sha256.Sum256([]byte(token))
	return func(w http.ResponseWriter, r *http.Request) (answer, bool) {
		got := sha256.Sum256([]byte(tokenOf(r)))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return answer{}, true
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="admin"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="admin", charset="UTF-8"`)
		return say(http.StatusUnauthorized, "a token is needed, as bearer token, or as password of any user"), false
	}
}

// tokenOf returns the bearer token (RFC 6750) or the password (RFC 7617).
func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// admitLocal is for a handler without a token. Besides the address that the
// request came in on, the name that it asks for must be local: a browser that
// was told that evil.example is 127.0.0.1 still says evil.example.
func admitLocal(_ http.ResponseWriter, r *http.Request) (answer, bool) {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !loopback(addr) {
		return say(http.StatusForbidden, "without a token, the admin side answers on loopback only"), false
	}
	if !loopbackHost(r.Host) {
		return say(http.StatusForbidden, "without a token, the admin side must be asked for as localhost or by a loopback address"), false
	}
	return answer{}, true
}

// loopback reports whether only this host can reach addr. What is no IP
// address, such as a Unix socket, is local.
func loopback(addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	return err != nil || ap.Addr().Unmap().IsLoopback()
}

// loopbackHost reports whether a Host header names this host: localhost and
// the names below it (RFC 6761), or a loopback address, with or without port.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.Unmap().IsLoopback()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
