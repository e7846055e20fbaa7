package serving

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

// It may come on a connection that was open, while that is being closed.
func TestARequestAfterTheEndIsTurnedAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := false
	s := Start(t.Context(), &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })}, l)
	s.End(errors.New("broken"), time.Minute)
	defer func() {
		if v := recover(); v != http.ErrAbortHandler || served {
			t.Errorf("ServeHTTP panicked with %v, and the handler ran: %t; want ErrAbortHandler and false", v, served)
		}
	}()
	s.ServeHTTP(nil, nil)
}
