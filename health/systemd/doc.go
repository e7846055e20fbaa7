// Package systemd tells systemd how a tree is, for services of Type=notify
// that run without Kubernetes:
//
//	notifier, err := systemd.Notify(sup)
//	if err != nil {
//		return err
//	}
//	defer notifier.Stop()
//	return sup.Run(ctx)
//
// It says what the probes of package health say, by the same rules:
//
//	READY=1              once the tree was fully ready, as /startupz
//	WATCHDOG=1           as long as the tree can heal itself, as /livez
//	STOPPING=1           once it drains
//	STATUS=…             in one line how it is; systemctl status shows it
//	EXTEND_TIMEOUT_USEC  while it starts and can heal itself: TimeoutStartSec is
//	                     no reason to kill what waits for its database
//
// A dependency's outage stops no watchdog: a process whose database is gone is
// not mended by killing it. Without NOTIFY_SOCKET in the environment nothing is
// told, and all calls do nothing.
//
// The protocol is that of sd_notify(3) and sd_watchdog_enabled(3).
package systemd
