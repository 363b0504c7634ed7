// The original's own client of the gomote service, package buildlet, against a server of ours: every method that has a machine's
// work behind it, then the service's other methods by the original's generated client. It prints a line for each.
//
//	gomote ADDRESS TOKEN BUILDER [CERTIFICATE]
//
// With the file of a CERTIFICATE it speaks TLS and trusts that alone, else HTTP/2 as it is. It exits 0 if each answer was as it
// must be.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/build/buildlet"
	"golang.org/x/build/internal/gomote/protos"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func main() {
	if len(os.Args) < 4 || len(os.Args) > 5 {
		fmt.Fprintln(os.Stderr, "usage: gomote ADDRESS TOKEN BUILDER [CERTIFICATE]")
		os.Exit(2)
	}
	certificate := ""
	if len(os.Args) == 5 {
		certificate = os.Args[4]
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], certificate); err != nil {
		fmt.Println("DIFFERS:", err)
		os.Exit(1)
	}
}

// bearer shows a token with each call, as the original's command does.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

func dial(address, certificate string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if certificate != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(certificate, ""); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient(address, append(options, grpc.WithTransportCredentials(transport))...)
}

func run(address, token, builder, certificate string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for _, options := range [][]grpc.DialOption{nil, {grpc.WithPerRPCCredentials(bearer("no-such-token"))}} {
		connection, err := dial(address, certificate, options...)
		if err != nil {
			return err
		}
		defer connection.Close()
		client := protos.NewGomoteServiceClient(connection)
		if _, err := client.Authenticate(ctx, &protos.AuthenticateRequest{}); status.Code(err) != codes.Unauthenticated {
			return fmt.Errorf("Authenticate without a good token: %v", err)
		}
	}
	fmt.Println("Authenticate: refused without a token, and with a wrong one")
	connection, err := dial(address, certificate, grpc.WithPerRPCCredentials(bearer(token)))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := protos.NewGomoteServiceClient(connection)
	if _, err := client.Authenticate(ctx, &protos.AuthenticateRequest{}); err != nil {
		return fmt.Errorf("Authenticate: %w", err)
	}
	machine, err := (&buildlet.GRPCCoordinatorClient{Client: client}).CreateBuildlet(ctx, builder)
	if err != nil {
		return fmt.Errorf("CreateBuildlet: %w", err)
	}
	fmt.Println("CreateInstance:", machine.RemoteName())
	if err := work(ctx, machine); err != nil {
		return err
	}
	return others(ctx, client, machine)
}

// work does all that the original's client of a machine can.
func work(ctx context.Context, machine buildlet.RemoteClient) error {
	dir, err := machine.WorkDir(ctx)
	if err != nil || !strings.HasPrefix(dir, "/") {
		return fmt.Errorf("WorkDir: %q, %v", dir, err)
	}
	fmt.Println("WorkDir: absolute")
	if err := machine.Put(ctx, strings.NewReader("#!/bin/sh\necho \"$0 $1\"; exit 7\n"), "in/run.sh", 0o755); err != nil {
		return fmt.Errorf("Put: %w", err)
	}
	var output bytes.Buffer
	options := buildlet.ExecOpts{Output: &output, Args: []string{"one"}, Dir: "in"}
	remote, err := machine.Exec(ctx, "in/run.sh", options)
	if err != nil || remote == nil || !strings.HasSuffix(remote.Error(), "exit status 7") {
		return fmt.Errorf("Exec: %v, %v", remote, err)
	}
	if want := dir + "/in/run.sh one\n"; output.String() != want {
		return fmt.Errorf("Exec printed %q, not %q", output.String(), want)
	}
	fmt.Println("Put, Exec: exit status 7, and what it printed")
	output.Reset()
	options = buildlet.ExecOpts{Output: &output, Args: []string{"-c", "echo $V $PATH"}, SystemLevel: true, ExtraEnv: []string{"V=w"}, Path: []string{"$WORKDIR/x", "$PATH"}}
	if remote, err := machine.Exec(ctx, "sh", options); remote != nil || err != nil {
		return fmt.Errorf("Exec of sh: %v, %v", remote, err)
	}
	if !strings.HasPrefix(output.String(), "w "+dir+"/x:/") {
		return fmt.Errorf("Exec of sh printed %q", output.String())
	}
	// Which of the two errors it is differs with the machine's buildlet.
	if remote, err := machine.Exec(ctx, "no-such-program", buildlet.ExecOpts{Output: io.Discard}); remote == nil && err == nil {
		return errors.New("Exec of no-such-program: no error")
	}
	fmt.Println("Exec: environment and path, and what is not there")
	archive, err := packed(map[string]string{"a": "first", "b/c": strings.Repeat("second", 100_000)})
	if err != nil {
		return err
	}
	if err := machine.PutTar(ctx, bytes.NewReader(archive), "tree"); err != nil {
		return fmt.Errorf("PutTar: %w", err)
	}
	var lines []string
	list := buildlet.ListDirOpts{Recursive: true, Digest: true, Skip: []string{"in"}}
	if err := machine.ListDir(ctx, ".", list, func(entry buildlet.DirEntry) { lines = append(lines, entry.String()) }); err != nil {
		return fmt.Errorf("ListDir: %w", err)
	}
	listed := strings.Join(lines, "\n")
	for _, want := range []string{"tree/a\t5\t", "tree/b/c\t600000\t"} {
		if !strings.Contains(listed, want) {
			return fmt.Errorf("ListDir: %q is not in %q", want, listed)
		}
	}
	if strings.Contains(listed, "run.sh") {
		return fmt.Errorf("ListDir: what is to be skipped is in %q", listed)
	}
	fmt.Println("PutTar, ListDir: sizes, digests, skip")
	reader, err := machine.GetTar(ctx, "tree")
	if err != nil {
		return fmt.Errorf("GetTar: %w", err)
	}
	defer reader.Close()
	back, err := unpacked(reader)
	if err != nil {
		return fmt.Errorf("GetTar: %w", err)
	}
	if back["a"] != "first" || len(back["b/c"]) != 600_000 {
		return fmt.Errorf("GetTar: %d files", len(back))
	}
	fmt.Println("GetTar: as it was put")
	if err := machine.RemoveAll(ctx, "tree", "in"); err != nil {
		return fmt.Errorf("RemoveAll: %w", err)
	}
	lines = nil
	if err := machine.ListDir(ctx, ".", buildlet.ListDirOpts{}, func(entry buildlet.DirEntry) { lines = append(lines, entry.String()) }); err != nil {
		return fmt.Errorf("ListDir: %w", err)
	}
	for _, line := range lines {
		if strings.Contains(line, "tree") || strings.Contains(line, "in/") {
			return fmt.Errorf("RemoveAll left %q", line)
		}
	}
	fmt.Println("RemoveAll: gone")
	return nil
}

// others calls the methods that the client of a machine does not.
func others(ctx context.Context, client protos.GomoteServiceClient, machine buildlet.RemoteClient) error {
	id := machine.RemoteName()
	if _, err := client.InstanceAlive(ctx, &protos.InstanceAliveRequest{GomoteId: id}); err != nil {
		return fmt.Errorf("InstanceAlive: %w", err)
	}
	list, err := client.ListInstances(ctx, &protos.ListInstancesRequest{})
	if err != nil || len(list.Instances) != 1 || list.Instances[0].GomoteId != id || list.Instances[0].HostType == "" {
		return fmt.Errorf("ListInstances: %v, %v", list, err)
	}
	if left := time.Until(time.Unix(list.Instances[0].Expires, 0)); left < 25*time.Minute || left > 31*time.Minute {
		return fmt.Errorf("ListInstances: it ends in %v", left)
	}
	builders, err := client.ListSwarmingBuilders(ctx, &protos.ListSwarmingBuildersRequest{})
	if err != nil || len(builders.Builders) == 0 {
		return fmt.Errorf("ListSwarmingBuilders: %v, %v", builders, err)
	}
	bootstrap, err := client.AddBootstrap(ctx, &protos.AddBootstrapRequest{GomoteId: id})
	if err != nil || bootstrap.BootstrapGoUrl != "" {
		return fmt.Errorf("AddBootstrap: %v, %v", bootstrap, err)
	}
	stream, err := client.ListDirectoryStreaming(ctx, &protos.ListDirectoryRequest{GomoteId: id, Directory: "."})
	if err != nil {
		return fmt.Errorf("ListDirectoryStreaming: %w", err)
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if err != io.EOF {
		return fmt.Errorf("ListDirectoryStreaming: %w", err)
	}
	fmt.Println("InstanceAlive, ListInstances, ListSwarmingBuilders, AddBootstrap, ListDirectoryStreaming")
	for _, one := range []struct {
		what string
		err  error
		want codes.Code
	}{
		{"InstanceAlive of nothing", call(client.InstanceAlive(ctx, &protos.InstanceAliveRequest{})), codes.InvalidArgument},
		{"InstanceAlive of another", call(client.InstanceAlive(ctx, &protos.InstanceAliveRequest{GomoteId: "x-y-0"})), codes.NotFound},
		{"AddBootstrap of nothing", call(client.AddBootstrap(ctx, &protos.AddBootstrapRequest{})), codes.NotFound},
		{"RemoveFiles of none", call(client.RemoveFiles(ctx, &protos.RemoveFilesRequest{GomoteId: id})), codes.InvalidArgument},
		{"WriteTGZFromURL of none", call(client.WriteTGZFromURL(ctx, &protos.WriteTGZFromURLRequest{GomoteId: id})), codes.InvalidArgument},
		{"ListDirectory of none", call(client.ListDirectory(ctx, &protos.ListDirectoryRequest{GomoteId: id})), codes.InvalidArgument},
		{"ListDirectory of what is not there", call(client.ListDirectory(ctx, &protos.ListDirectoryRequest{GomoteId: id, Directory: "nope"})), codes.Unimplemented},
	} {
		if status.Code(one.err) != one.want {
			return fmt.Errorf("%s: %v, not %v", one.what, one.err, one.want)
		}
	}
	fmt.Println("codes of errors: 7 as the original's")
	if err := machine.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	if _, err := client.InstanceAlive(ctx, &protos.InstanceAliveRequest{GomoteId: id}); status.Code(err) != codes.NotFound {
		return fmt.Errorf("after Close: %v", err)
	}
	fmt.Println("DestroyInstance: gone")
	return nil
}

func call(_ any, err error) error { return err }

func packed(files map[string]string) ([]byte, error) {
	var buffer bytes.Buffer
	zipped := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(zipped)
	for name, content := range files {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(1_500_000_000, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(archive, content); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func unpacked(reader io.Reader) (map[string]string, error) {
	zipped, err := gzip.NewReader(reader)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(zipped)
	files := map[string]string{}
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		files[header.Name] = string(content)
	}
}
