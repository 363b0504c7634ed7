// The original's side of a log that is served: its client, its server, and its questions.
//
//	netsource follow INDEX CACHE
//	netsource serve ADDRESS
//	netsource ask ADDRESS
//	netsource answer ADDRESS DIR GERRIT
//
// `follow` reads a log as the package's corpus does, and prints `round N` with the number of mutations that came, for each
// round, and `split` when it finds that the log was rewritten, or `error: WHY`. `serve` serves what it reads on standard input,
// a mutation in hexadecimal to a line, and prints `logged` for each. `ask` asks by gRPC what it reads on standard input,
// METHOD and a request in JSON to a line, and prints an answer in JSON or `error: CODE TEXT` for each. `answer` answers such
// questions by what the day files of a folder say and by a server that stands in for Gerrit, and prints `ready`.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/build/maintner"
	"golang.org/x/build/maintner/maintnerd/apipb"
	"golang.org/x/build/maintner/maintnerd/gcslog"
	"golang.org/x/build/maintner/maintpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The longest line: a mutation of 16 MiB.
const longest = 40 << 20

func main() {
	run := map[string]func([]string) error{"follow": follow, "serve": serve, "ask": ask, "answer": answer}
	if len(os.Args) < 3 || run[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: netsource follow INDEX CACHE | serve ADDRESS | ask ADDRESS | answer ADDRESS DIR GERRIT")
		os.Exit(2)
	}
	if err := run[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func follow(args []string) error {
	if len(args) != 2 {
		return errors.New("follow INDEX CACHE")
	}
	source := maintner.NewNetworkMutationSource(args[0], args[1])
	for {
		came := 0
		for event := range source.GetMutations(context.Background()) {
			if event.Err == maintner.ErrSplit {
				fmt.Println("split")
				return nil
			}
			if event.Err != nil {
				return event.Err
			}
			if event.End {
				break
			}
			came++
		}
		fmt.Println("round", came)
	}
}

func serve(args []string) error {
	stub, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(stub, bucket{})
	os.Setenv("STORAGE_EMULATOR_HOST", "http://"+stub.Addr().String())
	log, err := gcslog.NewGCSLog(context.Background(), "bucket")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	log.RegisterHandlers(mux)
	listener, err := listen(args[0])
	if err != nil {
		return err
	}
	go http.Serve(listener, mux)
	fmt.Println("ready")
	return eachLine(func(line string) error {
		bytes, err := hex.DecodeString(line)
		if err != nil {
			return err
		}
		mutation := new(maintpb.Mutation)
		if err := proto.Unmarshal(bytes, mutation); err != nil {
			return err
		}
		if err := log.Log(mutation); err != nil {
			return err
		}
		fmt.Println("logged")
		return nil
	})
}

func listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }

// eachLine hands on the lines of standard input.
func eachLine(do func(string) error) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), longest)
	for lines.Scan() {
		if err := do(lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func ask(args []string) error {
	connection, err := grpc.NewClient("passthrough:///"+args[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := apipb.NewMaintnerServiceClient(connection)
	ctx := context.Background()
	return eachLine(func(line string) error {
		method, text, _ := strings.Cut(line, " ")
		var answer proto.Message
		var err error
		switch method {
		case "HasAncestor":
			answer, err = client.HasAncestor(ctx, request(text, new(apipb.HasAncestorRequest)))
		case "GetRef":
			answer, err = client.GetRef(ctx, request(text, new(apipb.GetRefRequest)))
		case "ListGoReleases":
			answer, err = client.ListGoReleases(ctx, request(text, new(apipb.ListGoReleasesRequest)))
		case "GoFindTryWork":
			answer, err = client.GoFindTryWork(ctx, request(text, new(apipb.GoFindTryWorkRequest)))
		case "GetDashboard":
			answer, err = client.GetDashboard(ctx, request(text, new(apipb.DashboardRequest)))
		default:
			return fmt.Errorf("no method %q", method)
		}
		if err != nil {
			fmt.Println("error:", status.Code(err), status.Convert(err).Message())
			return nil
		}
		out, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(answer)
		fmt.Println(string(out))
		return err
	})
}

func request[M proto.Message](text string, message M) M {
	if err := protojson.Unmarshal([]byte(text), message); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	return message
}
