// The original's subscriber, which its package maintner has, against our pubsubhelper.
//
//	hints URL SECRET
//
// It subscribes at URL, brings webhooks signed with SECRET, and looks whether each was heard once and in order; then whether the
// list of the last events is, byte for byte, what the original's types are written as. It exits 0 if so.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/build/cmd/pubsubhelper/pubsubtypes"
	"golang.org/x/build/maintner"
)

const (
	events  = 40
	longest = 30 * time.Second
	// What the package says of each event, before its JSON.
	heard = "Got pubsubhelper event: "
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hints URL SECRET")
		os.Exit(2)
	}
	if err := run(os.Args[1], []byte(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "DIFFERS:", err)
		os.Exit(1)
	}
}

// ear keeps the JSON of the events that the package says it heard.
type ear struct {
	sync.Mutex
	events []string
}

func (e *ear) Write(line []byte) (int, error) {
	if _, text, ok := strings.Cut(string(line), heard); ok {
		e.Lock()
		defer e.Unlock()
		e.events = append(e.events, strings.TrimSuffix(text, "\n"))
	}
	return len(line), nil
}

func (e *ear) heard() []string {
	e.Lock()
	defer e.Unlock()
	return append([]string(nil), e.events...)
}

func run(url string, secret []byte) error {
	ear := new(ear)
	log.SetOutput(ear)
	new(maintner.Corpus).StartPubSubHelperSubscribe(url)
	// It says nothing once it listens: the first that it hears tells.
	first := 0
	for end := time.Now().Add(longest); len(ear.heard()) == 0; first++ {
		if time.Now().After(end) {
			return errors.New("the subscriber hears nothing")
		}
		if err := bring(url, secret, 1_000_000+first, false); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	for n := 1; n <= events; n++ {
		if err := bring(url, secret, n, n%3 == 0); err != nil {
			return err
		}
	}
	var got []string
	for end := time.Now().Add(longest); ; time.Sleep(10 * time.Millisecond) {
		got = ear.heard()
		if last := got[len(got)-1]; strings.Contains(last, fmt.Sprintf("Number\": %d\n", events)) {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("the subscriber heard %d events, the last of them %s", len(got), got[len(got)-1])
		}
	}
	listed, err := recent(url)
	if err != nil {
		return err
	}
	if len(listed) != events+first {
		return fmt.Errorf("%d events are listed, not %d", len(listed), events+first)
	}
	// From the first that was heard on, all that are listed, the oldest of them last.
	if len(got) > len(listed) {
		return fmt.Errorf("%d events were heard, and %d are listed", len(got), len(listed))
	}
	for n, text := range got {
		if want := listed[len(got)-1-n]; text != want {
			return fmt.Errorf("event %d was heard as %s, and is listed as %s", n, text, want)
		}
	}
	if len(got) < events+1 {
		return fmt.Errorf("only %d events were heard", len(got))
	}
	fmt.Printf("%d events heard, each once and in order, and listed byte for byte\n", events)
	return nil
}

// bring posts a webhook about an issue, or about a pull request.
func bring(url string, secret []byte, number int, pull bool) error {
	kind := "issue"
	if pull {
		kind = "pull_request"
	}
	body := fmt.Appendf(nil, `{"action":"a<b>&c","%s":{"number":%d},"repository":{"full_name":"golang/go"}}`, kind, number)
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	request, err := http.NewRequest("POST", url+"/github-webhook", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("a webhook is answered with %s", answer.Status)
	}
	return nil
}

// recent reads the list of events, and returns each as the original's types are written.
func recent(url string) ([]string, error) {
	answer, err := http.Get(url + "/recent")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	var all []pubsubtypes.Event
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("the list can't be read: %w", err)
	}
	var texts []string
	for _, event := range all {
		text, err := json.MarshalIndent(event, "", "\t")
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	if want := "[\n" + strings.Join(texts, ",\n") + "\n]\n"; string(body) != want {
		return nil, fmt.Errorf("the list is not as the original writes it: %.300s", body)
	}
	return texts, nil
}
