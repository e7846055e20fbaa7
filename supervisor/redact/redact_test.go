package redact

import (
	"regexp"
	"strings"
	"testing"
)

func TestSecretsAreMasked(t *testing.T) {
	for _, secret := range []string{"hunter2", "p4ss/w:rd", "a@b", "%40x#y?z", "it's-hunter2", "hunter2'"} {
		for _, c := range [][2]string{
			{"postgres://app:$@db:5432/shop?sslmode=off", "postgres://app:xxxxx@db:5432/shop?sslmode=off"},
			{`parse "redis://:$@cache:6379": bad`, `parse "redis://:xxxxx@cache:6379": bad`},
			{"app:$@tcp(db:3306)/shop", "app:xxxxx@tcp(db:3306)/shop"},
			{"two: http://a:$@b and amqp://c:$@d", "two: http://a:xxxxx@b and amqp://c:xxxxx@d"},
		} {
			if got := Secrets(strings.ReplaceAll(c[0], "$", secret)); got != c[1] {
				t.Errorf("%q in %q: %q", secret, c[0], got)
			}
		}
	}
	for text, want := range map[string]string{
		"host=db password=hunter2 user=app":                                              "host=db password=xxxxx user=app",
		"PGPASSWORD='hunter 2' failed":                                                   "PGPASSWORD=xxxxx failed",
		`password='a\'hunter2' host=db`:                                                  `password=xxxxx host=db`,
		`"password": "a\"hunter2", "id": 7`:                                              `"password": xxxxx, "id": 7`,
		"Server=db;Password=a;hunter2":                                                   "Server=db;Password=xxxxx",
		"app:hunter2@db:5432/shop, then app:hunter2@/shop":                               "app:xxxxx@db:5432/shop, then app:xxxxx@/shop",
		"AccountName=shop;AccountKey=aHVudGVyMg==":                                       "AccountName=shop;AccountKey=xxxxx",
		"GET https://maps/x?zoom=3&key=hunter2 failed":                                   "GET https://maps/x?zoom=3&key=xxxxx failed",
		"Cookie: session=hunter2; theme=dark\nAccept: */*":                               "Cookie: xxxxx\nAccept: */*",
		"pull shop:1.2@sha256:0123456789: at main.go:12, key=3":                          "pull shop:1.2@sha256:0123456789: at main.go:12, key=3",
		"'http://a:80', 'mail@x'":                                                        "'http://a:80', 'mail@x'",
		"GET /x?api_key=hunter2&page=3":                                                  "GET /x?api_key=xxxxx&page=3",
		`{"client_secret": "hunter2", "id":7}`:                                           `{"client_secret": xxxxx, "id":7}`,
		"Authorization: Bearer abcdefgh12345678":                                         "Authorization: Bearer xxxxx",
		"header Basic dXNlcjpodW50ZXIy was refused":                                      "header Basic xxxxx was refused",
		"https://ghp_0123456789abcdefghij@git/x":                                         "https://xxxxx@git/x",
		"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x_y is old":                            "jwt xxxxx is old",
		"-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----":        "-----BEGIN RSA PRIVATE KEY-----xxxxx-----END RSA PRIVATE KEY-----",
		"password authentication failed for user \"app\"":                                "password authentication failed for user \"app\"",
		"invalid token: unexpected EOF":                                                  "invalid token: unexpected EOF",
		"dial tcp 127.0.0.1:5432: connection refused":                                    "dial tcp 127.0.0.1:5432: connection refused",
		"Get \"http://proxy:8080/@scope/pkg\": EOF, mail to a@b.example, see shop/db#3.": "Get \"http://proxy:8080/@scope/pkg\": EOF, mail to a@b.example, see shop/db#3.",
	} {
		if got := Secrets(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// quoteEnds is a quote that may be one of the text around.
var quoteEnds = regexp.MustCompile(`'[',;:)\]}]`)

// FuzzRedact: no text makes it fail or grow much, and no secret in a URL gets
// through, whatever stands around it.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"", "hunter2", "a@b", "x:y", "://", `"password":"`, "é\xff", "@tcp("} {
		f.Add(s, "around: ")
	}
	f.Fuzz(func(t *testing.T, secret, around string) {
		if got := Secrets(around + secret); len(got) > 8*len(around+secret)+8*len(mask) {
			t.Errorf("%q: %q", around+secret, got)
		}
		if len(secret) < 6 || strings.ContainsAny(secret, " \t\n\v\f\r\"<>") || quoteEnds.MatchString(secret) || strings.Contains(secret, mask) || strings.Contains(around, "PRIVATE") {
			return
		}
		if strings.Trim(secret, "0123456789") == "" || strings.ContainsAny(secret, "/?#") {
			return // it may be a port
		}
		around = strings.ReplaceAll(around, secret, "")
		if got := Secrets(around + " postgres://app:" + secret + "@db/shop"); strings.Contains(got, secret) && !strings.Contains(around+" postgres://app:@db/shop", secret) {
			t.Errorf("%q: %q", secret, got)
		}
	})
}
