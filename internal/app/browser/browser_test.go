package browser

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestLaunchFile(t *testing.T) {
	dir := t.TempDir()
	name, err := writeLaunchFile(dir, "http://x.localhost:1/launch?secret=abc")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `content="0; url=http://x.localhost:1/launch?secret=abc"`) {
		t.Errorf("the file does not lead to the address:\n%s", data)
	}
	if _, err := writeLaunchFile(dir, "http://x/"); err == nil {
		t.Error("wrote over a file that was there")
	}
}

func TestArgumentsHoldNoSecret(t *testing.T) {
	args := arguments("/tmp/a b/open.html", "/tmp/profile", false)
	if !slices.Contains(args, "--app=file:///tmp/a%20b/open.html") || !slices.Contains(args, "--disable-extensions") {
		t.Errorf("got %q", args)
	}
	if slices.Contains(args, "--no-sandbox") || !slices.Contains(arguments("f", "p", true), "--no-sandbox") {
		t.Error("the sandbox is off without being asked, or on when asked off")
	}
}

func TestFileURL(t *testing.T) {
	for name, want := range map[string]string{"/tmp/x.html": "file:///tmp/x.html", "C:/Temp/a#b.html": "file:///C:/Temp/a%23b.html"} {
		if got := fileURL(filepath.FromSlash(name)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
