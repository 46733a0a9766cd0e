package text

// Listener is a provider that tells about messages over a connection of its
// own instead of calling back over HTTP.
type Listener interface {
	Provider
	// Receipts names the function that gets every receipt from then on. It is
	// called from another goroutine, one receipt at a time; a nil function ends
	// that. A receipt that comes while there is none is lost.
	Receipts(took func(Receipt))
}
