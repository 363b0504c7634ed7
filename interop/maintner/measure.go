package main

import (
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/build/maintner"
	"golang.org/x/build/maintner/reclog"
)

// figures are what loading a log took, in seconds and bytes.
type figures struct {
	Load      float64 `json:"load_seconds"`
	CPU       float64 `json:"load_cpu_seconds"`
	Resident  int64   `json:"resident_bytes"`
	Collected int64   `json:"resident_bytes_after_gc"`
	Peak      int64   `json:"peak_resident_bytes"`
	Walk      float64 `json:"walk_seconds"`
	Issues    int     `json:"issues"`
	Comments  int     `json:"comments"`
	Records   int     `json:"records"`
}

func measure(dir string) error {
	var f figures
	begun, used := time.Now(), cpu()
	corpus, err := load(dir)
	if err != nil {
		return err
	}
	f.Load, f.CPU = time.Since(begun).Seconds(), cpu()-used
	f.Resident = resident()
	runtime.GC()
	debug.FreeOSMemory()
	f.Collected = resident()
	f.Peak = peak()
	begun = time.Now()
	walk(corpus, &f)
	f.Walk = time.Since(begun).Seconds()
	// Counted at the end and apart from it: the package does not say.
	err = maintner.NewDiskMutationLogger(dir).ForeachFile(func(path string, _ os.FileInfo) error {
		return reclog.ForeachFileRecord(path, func(int64, []byte, []byte) error {
			f.Records++
			return nil
		})
	})
	if err != nil {
		return err
	}
	runtime.KeepAlive(corpus)
	return json.NewEncoder(os.Stdout).Encode(f)
}

func walk(corpus *maintner.Corpus, f *figures) {
	github := corpus.GitHub()
	if github == nil {
		return
	}
	github.ForeachRepo(func(repo *maintner.GitHubRepo) error {
		return repo.ForeachIssue(func(issue *maintner.GitHubIssue) error {
			f.Issues++
			return issue.ForeachComment(func(*maintner.GitHubComment) error {
				f.Comments++
				return nil
			})
		})
	})
}

// cpu is the time of this process on processors, the system's for it included.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func peak() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Maxrss << 10
}

// resident is the memory of this process that is in memory now; 0 where the system does not say.
func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
