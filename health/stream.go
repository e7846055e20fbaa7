package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coppice-go/coppice/supervisor"
)

// This file sends events as they happen (server-sent events, WHATWG HTML 9.2).
// A stream keeps nothing but its place in the Log: one that is slow finds that
// the Log went on without it, and is told how many events it has missed.

const (
	maxStreams   = 1_200
	streamBatch  = 100                    // events that are sent at once
	streamPace   = 100 * time.Millisecond // between two batches: what happens meanwhile is sent together
	streamBeat   = 15 * time.Second       // without events
	streamTakes  = 10 * time.Second       // for the network to take a batch
	streamReopen = time.Second            // what browsers wait before they come again
)

// stream sends what happens after Last-Event-ID, or from now on, until the
// client, or the listener, closes.
func (a *admin) stream(w http.ResponseWriter, r *http.Request) {
	at, again, err := a.log.place(r.Header.Get("Last-Event-ID"))
	defer a.streams.Add(-1)
	switch open := a.streams.Add(1); {
	case err != nil:
		say(http.StatusBadRequest, err.Error()).write(w, r)
	case open > maxStreams:
		w.Header().Set("Retry-After", "10")
		say(http.StatusServiceUnavailable, fmt.Sprintf("%d streams are open already", maxStreams)).write(w, r)
	default:
		s := &stream{log: a.log, at: at, out: w, control: http.NewResponseController(w), takes: a.takes}
		s.open(again)
		s.follow(r.Context())
	}
}

// place returns the number that an event id names, the newest for "". again
// reports that the id is of another process: then all is new.
func (l *Log) place(id string) (seq uint64, again bool, err error) {
	if id == "" {
		return l.newest(), false, nil
	}
	epoch, number, ok := strings.Cut(id, "-")
	if !ok {
		epoch, number = l.name(), id
	}
	if seq, err = strconv.ParseUint(number, 10, 64); err != nil {
		return 0, false, errors.New("Last-Event-ID is no id of ours: leave it out, or use 0 for all events that are kept")
	}
	if epoch != l.name() || seq > l.newest() {
		return 0, true, nil
	}
	return seq, false, nil
}

// name is the epoch's.
func (l *Log) name() string {
	if l == nil {
		return ""
	}
	return l.epoch
}

// A stream is one client that follows the Log.
type stream struct {
	log     *Log
	at      uint64 // number of the last event that was sent
	out     http.ResponseWriter
	control *http.ResponseController
	takes   time.Duration
	buf     bytes.Buffer
	err     error // nobody listens any more
}

func (s *stream) open(again bool) {
	_ = s.control.SetReadDeadline(time.Time{}) // the request has been read; this is no slow one
	h := s.out.Header()
	h["Content-Type"], h["Cache-Control"], h["X-Content-Type-Options"] = []string{typeStream}, noStore, noSniff
	h["X-Accel-Buffering"] = []string{"no"} // nginx would hold events back
	fmt.Fprintf(&s.buf, "retry: %d\n", streamReopen.Milliseconds())
	if again {
		s.say("restarted", struct{}{})
	}
	s.beat()
}

// follow sends batch after batch, and beats in between.
func (s *stream) follow(ctx context.Context) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for s.err == nil {
		events, lost, more := s.log.after(s.at, streamBatch)
		var pace <-chan time.Time
		if len(events) > 0 {
			s.send(events, lost)
			pace = time.After(streamPace)
		}
		select {
		case <-ctx.Done():
			return
		case <-pace:
		case <-more:
		case <-beat.C:
			s.beat()
		}
	}
}

// send sends events, and before them how many were lost.
func (s *stream) send(events []supervisor.Event, lost uint64) {
	if lost > 0 {
		s.say("dropped", map[string]uint64{"count": lost})
	}
	for i, e := range eventsOf(events) {
		s.at = events[i].Seq
		fmt.Fprintf(&s.buf, "id: %s-%d\n", s.log.epoch, s.at)
		s.say("", e)
	}
	s.flush()
}

// beat tells that the tree is watched, though nothing happens.
func (s *stream) beat() {
	s.say("beat", map[string]time.Time{"time": time.Now().UTC()})
	s.flush()
}

// say adds one message; event "" is what happened to a node.
func (s *stream) say(event string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic("bug: " + err.Error())
	}
	if event != "" {
		fmt.Fprintf(&s.buf, "event: %s\n", event)
	}
	fmt.Fprintf(&s.buf, "data: %s\n\n", text)
}

// flush hands over what there is, or gives the client up.
func (s *stream) flush() {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.takes))
	_, err := s.out.Write(s.buf.Bytes())
	s.err = errors.Join(s.err, err, s.control.Flush())
	s.buf.Reset()
}
