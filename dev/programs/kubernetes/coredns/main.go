// CoreDNS with the plugins the local cluster needs, and no others.
//
// Pods resolve Service names through it; there is nothing outside to forward to.
package main

import (
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

func init() {
	dnsserver.Directives = []string{"ready", "errors", "log", "cache", "kubernetes"}
}

func main() {
	coremain.Run()
}
