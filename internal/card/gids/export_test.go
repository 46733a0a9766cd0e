package gids

// Parse runs every parser of what a card says, for fuzzing.
func Parse(b []byte) {
	_, _ = parseDirectory(b)
	_, _ = parseContainers(b)
}
