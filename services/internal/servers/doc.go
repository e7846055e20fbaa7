// Package servers runs real PostgreSQL, MariaDB and Redis servers for tests, and
// lets them crash and freeze. It needs Linux, and the servers' programs in PATH
// or where Debian puts them.
package servers
