// A coordinator made of the original's own package revdial/v2, and as little else as will do: it receives one machine that
// dials in, makes requests to it over connections that the machine picks up, and prints a line for each.
//
//	interop ADDRESS CERTIFICATE HOST KEY
//
// It listens on ADDRESS with TLS, writes its certificate to the file CERTIFICATE, and takes a machine of HOST with KEY. It
// exits 0 if each answer was as it must be.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/build/bellwether-interop/certificate"
	"golang.org/x/build/revdial/v2"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: interop ADDRESS CERTIFICATE HOST KEY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Println("DIFFERS:", err)
		os.Exit(1)
	}
}

func run(address, file, host, key string) error {
	own, err := certificate.SelfSigned(file)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("/revdial", revdial.ConnHandler())
	mux.HandleFunc("/reverse", func(w http.ResponseWriter, r *http.Request) {
		for name, want := range map[string]string{
			"X-Go-Host-Type": host, "X-Go-Builder-Key": key, "X-Go-Builder-Hostname": "box",
			"X-Go-Builder-Version": "29", "X-Revdial-Version": "2",
		} {
			if got := r.Header.Get(name); got != want {
				http.Error(w, name+" is "+got, http.StatusPreconditionFailed)
				ended <- fmt.Errorf("%s is %q, not %q", name, got, want)
				return
			}
		}
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			ended <- err
			return
		}
		if err := (&http.Response{StatusCode: http.StatusSwitchingProtocols}).Write(connection); err != nil {
			ended <- err
			return
		}
		fmt.Println("registered")
		dialer := revdial.NewDialer(connection, "/revdial")
		ended <- talk(dialer)
	})
	// As the original's: a connection is taken over, which HTTP/2 does not allow.
	server := &http.Server{
		Addr:      address,
		Handler:   mux,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"http/1.1"}},
	}
	go func() { ended <- server.ListenAndServeTLS("", "") }()
	select {
	case err := <-ended:
		return err
	case <-time.After(60 * time.Second):
		return fmt.Errorf("nothing came of it within a minute")
	}
}

// talk makes the requests.
func talk(dialer *revdial.Dialer) error {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.Dial(ctx) },
	}}
	script := "cat a/b; echo \"$MARK\"; exit 7"
	form := url.Values{
		"cmd": {"/bin/sh"}, "mode": {"sys"}, "cmdArg": {"-c", script}, "env": {"MARK=here"},
	}
	steps := []struct {
		method, path, body, kind string
		want                     string
	}{
		{"GET", "/status", "", "", `200 {"Version":29`},
		{"PUT", "/write?path=a/b&mode=420", "content\n", "", "200 "},
		{"GET", "/ls?recursive=true&digest=true&dir=a", "", "", "200 -rw-r--r--\tb\t8\t"},
		{"POST", "/exec", form.Encode(), "application/x-www-form-urlencoded", "200 content\nhere\n exit status 7"},
		{"GET", "/tgz?dir=a", "", "", "200 \x1f\x8b"},
		{"POST", "/removeall", "path=a", "application/x-www-form-urlencoded", "200 "},
		{"GET", "/ls?dir=.", "", "", "200 "},
		{"POST", "/halt", "", "", "200 "},
	}
	for _, step := range steps {
		request, err := http.NewRequest(step.method, "http://box"+step.path, strings.NewReader(step.body))
		if err != nil {
			return err
		}
		if step.kind != "" {
			request.Header.Set("Content-Type", step.kind)
		}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("%s %s: %w", step.method, step.path, err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return fmt.Errorf("%s %s: %w", step.method, step.path, err)
		}
		got := fmt.Sprintf("%d %s", response.StatusCode, body)
		if state := response.Trailer.Get("Process-State"); state != "" {
			got += " " + state
		}
		if !strings.HasPrefix(got, step.want) {
			return fmt.Errorf("%s %s: %q, not %q", step.method, step.path, got, step.want)
		}
		path, _, _ := strings.Cut(step.path, "?")
		fmt.Println(step.method, path)
	}
	// It ends a second after /halt was answered, and its connection with it.
	select {
	case <-dialer.Done():
		fmt.Println("ended")
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("it did not end after /halt")
	}
}
