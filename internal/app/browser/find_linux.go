package browser

func candidates() []string {
	return lookUp("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "microsoft-edge-stable", "brave-browser")
}

func openWith(file string) (string, []string) { return "xdg-open", []string{file} }
