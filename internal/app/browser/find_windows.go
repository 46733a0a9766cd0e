package browser

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows/registry"
)

// appPaths is where installed programs say where they are.
const appPaths = `SOFTWARE\Microsoft\Windows\CurrentVersion\App Paths\`

func candidates() []string {
	var names []string
	for _, program := range []string{"msedge.exe", "chrome.exe", "brave.exe"} {
		for _, root := range []registry.Key{registry.LOCAL_MACHINE, registry.CURRENT_USER} {
			if path := registered(root, program); path != "" {
				names = append(names, path)
			}
		}
	}
	for _, folder := range []string{os.Getenv("ProgramFiles(x86)"), os.Getenv("ProgramFiles")} {
		if folder != "" {
			names = append(names, filepath.Join(folder, `Microsoft\Edge\Application\msedge.exe`), filepath.Join(folder, `Google\Chrome\Application\chrome.exe`))
		}
	}
	return lookUp(names...)
}

func registered(root registry.Key, program string) string {
	key, err := registry.OpenKey(root, appPaths+program, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer func() { _ = key.Close() }()
	path, _, err := key.GetStringValue("")
	if err != nil {
		return ""
	}
	return path
}

func openWith(file string) (string, []string) {
	return "rundll32", []string{"url.dll,FileProtocolHandler", file}
}
