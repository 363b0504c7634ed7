package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"golang.org/x/build/maintner"
	"golang.org/x/build/maintner/maintnerd/apipb"
	"golang.org/x/build/maintner/maintnerd/maintapi"
	"google.golang.org/grpc"
)

// review is the host of Gerrit that the original's service asks, whatever its corpus is of.
const review = "go-review.googlesource.com"

// standIn leads what is meant for Gerrit to another server.
type standIn struct {
	address string
	others  http.RoundTripper
}

func (s standIn) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host == review {
		request = request.Clone(request.Context())
		request.URL.Scheme, request.URL.Host = "http", s.address
	}
	return s.others.RoundTrip(request)
}

// answer serves the original's API of the corpus in a folder.
func answer(args []string) error {
	if len(args) != 3 {
		return errors.New("answer ADDRESS DIR GERRIT")
	}
	if _, err := os.ReadDir(args[1]); err != nil {
		return err
	}
	http.DefaultTransport = standIn{args[2], http.DefaultTransport}
	corpus := new(maintner.Corpus)
	if err := corpus.Initialize(context.Background(), maintner.NewDiskMutationLogger(args[1])); err != nil {
		return err
	}
	listener, err := listen(args[0])
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	apipb.RegisterMaintnerServiceServer(server, maintapi.NewAPIService(corpus))
	fmt.Println("ready")
	return server.Serve(listener)
}
