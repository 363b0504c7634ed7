package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// bucket is one that is empty at first, and takes what is put into it: as much as the original's log asks of one.
type bucket struct{}

func (bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/o"):
		io.WriteString(w, `{"kind":"storage#objects"}`)
	case r.Method == "POST" && strings.HasPrefix(r.URL.Path, "/upload/"):
		io.Copy(io.Discard, r.Body)
		json.NewEncoder(w).Encode(map[string]string{
			"kind": "storage#object", "bucket": "bucket", "name": r.URL.Query().Get("name"),
			"timeCreated": time.Now().UTC().Format(time.RFC3339Nano),
		})
	default:
		http.NotFound(w, r)
	}
}
