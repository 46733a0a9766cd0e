// Package version holds the version of the programs.
package version

// Version is MAJOR.MINOR.PATCH (Semantic Versioning 2.0.0). The service
// compares it with the oldest application that it serves.
const Version = "0.1.0"

// Build says which commit was built; set by the linker, empty in a plain build.
var Build string

// String is what people see: "0.1.0" or "0.1.0 (v0.1.0-3-gabc1234)".
func String() string {
	if Build == "" {
		return Version
	}
	return Version + " (" + Build + ")"
}
