// The original's package revdial/v2 as it is measured.
//
//	rates dials N AT_ONCE     dials and closes N connections, so many at once, over TLS on loopback; prints dials a second
//	rates echo BYTES          sends so much over one of them and reads it back; prints megabytes a second
//	rates relay ADDRESS PLAIN CERTIFICATE
//
// The last is a coordinator whose machine can be asked by whoever does not speak revdial: it listens on ADDRESS with TLS for
// one machine that dials in, and hands what comes on PLAIN over connections that the machine picks up.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/build/bellwether-interop/certificate"
	"golang.org/x/build/revdial/v2"
)

func main() {
	log.SetOutput(os.Stderr)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "relay":
		return relay(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "dials":
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		atOnce, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		dialer, err := pair()
		if err != nil {
			return err
		}
		return dials(dialer, count, atOnce)
	case len(args) == 2 && args[0] == "echo":
		total, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		dialer, err := pair()
		if err != nil {
			return err
		}
		return echo(dialer, total)
	}
	return fmt.Errorf("usage: rates dials N AT_ONCE | echo BYTES | relay ADDRESS PLAIN CERTIFICATE")
}

// serve receives machines on a listener; each that dials in is handed on.
func serve(listener net.Listener, own tls.Certificate, machines chan<- *revdial.Dialer) {
	mux := http.NewServeMux()
	mux.Handle("/revdial", revdial.ConnHandler())
	mux.HandleFunc("/reverse", func(w http.ResponseWriter, r *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		if (&http.Response{StatusCode: http.StatusSwitchingProtocols}).Write(connection) == nil {
			machines <- revdial.NewDialer(connection, "/revdial")
		}
	})
	// As the original's: a connection is taken over, which HTTP/2 does not allow.
	server := &http.Server{
		Handler:   mux,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"http/1.1"}},
	}
	log.Println(server.ServeTLS(listener, "", ""))
}

// pair makes both ends; the machine sends back what comes.
func pair() (*revdial.Dialer, error) {
	own, err := certificate.SelfSigned("")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	machines := make(chan *revdial.Dialer, 1)
	go serve(listener, own, machines)
	// As the original's buildlet has it for a coordinator on its own machine.
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	dial := func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			return nil, err
		}
		secured := tls.Client(connection, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secured, nil
	}
	control, err := dial(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(control, "GET /reverse HTTP/1.1\r\nHost: \r\n\r\n"); err != nil {
		return nil, err
	}
	// The head, which is sent alone.
	head := make([]byte, 0, 64)
	for len(head) < 4 || string(head[len(head)-4:]) != "\r\n\r\n" {
		var one [1]byte
		if _, err := io.ReadFull(control, one[:]); err != nil {
			return nil, err
		}
		head = append(head, one[0])
	}
	accepted := revdial.NewListener(control, dial)
	go func() {
		for {
			connection, err := accepted.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := connection.Read(buffer)
					if err != nil {
						return
					}
					if _, err := connection.Write(buffer[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return <-machines, nil
}

func dials(dialer *revdial.Dialer, count, atOnce int) error {
	began := time.Now()
	failed := make(chan error, atOnce)
	var all sync.WaitGroup
	for range atOnce {
		all.Add(1)
		go func() {
			defer all.Done()
			for range count / atOnce {
				if err := word(dialer); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	fmt.Printf("%.3f\n", float64(count/atOnce*atOnce)/time.Since(began).Seconds())
	return nil
}

// dial makes a connection, in time or not at all.
func dial(dialer *revdial.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return dialer.Dial(ctx)
}

// word has one byte sent back over a connection of its own.
func word(dialer *revdial.Dialer) error {
	connection, err := dial(dialer)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte{7}); err != nil {
		return err
	}
	var back [1]byte
	_, err = io.ReadFull(connection, back[:])
	return err
}

func echo(dialer *revdial.Dialer, total int64) error {
	connection, err := dial(dialer)
	if err != nil {
		return err
	}
	defer connection.Close()
	began := time.Now()
	failed := make(chan error, 1)
	go func() {
		buffer := make([]byte, 64<<10)
		for left := total; left > 0; {
			n, err := connection.Write(buffer[:min(left, int64(len(buffer)))])
			if err != nil {
				failed <- err
				return
			}
			left -= int64(n)
		}
		failed <- nil
	}()
	buffer := make([]byte, 64<<10)
	for left := total; left > 0; {
		n, err := connection.Read(buffer)
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	if err := <-failed; err != nil {
		return err
	}
	fmt.Printf("%.3f\n", float64(total)/1e6/time.Since(began).Seconds())
	return nil
}

func relay(address, plain, file string) error {
	secured, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	open, err := net.Listen("tcp", plain)
	if err != nil {
		return err
	}
	own, err := certificate.SelfSigned(file)
	if err != nil {
		return err
	}
	machines := make(chan *revdial.Dialer, 1)
	go serve(secured, own, machines)
	dialer := <-machines
	fmt.Println("registered")
	go func() {
		for {
			asked, err := open.Accept()
			if err != nil {
				return
			}
			go hand(dialer, asked)
		}
	}()
	<-dialer.Done()
	return nil
}

// hand joins two connections until one of them ends.
func hand(dialer *revdial.Dialer, asked net.Conn) {
	defer asked.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	machine, err := dialer.Dial(ctx)
	if err != nil {
		log.Println(err)
		return
	}
	defer machine.Close()
	ended := make(chan struct{}, 2)
	join := func(to, from net.Conn) {
		io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 256<<10))
		ended <- struct{}{}
	}
	go join(machine, asked)
	go join(asked, machine)
	<-ended
}
