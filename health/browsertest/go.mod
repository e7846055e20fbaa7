module github.com/coppice-go/coppice/health/browsertest

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/coppice-go/coppice v0.0.0
)

require (
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/thejerf/suture/v4 v4.0.6 // indirect
)

replace github.com/coppice-go/coppice => ../..
