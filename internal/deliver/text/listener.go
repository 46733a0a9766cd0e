package text

// Listener is a provider that tells about messages over a connection of its
// own instead of calling back over HTTP.
type Listener interface {
	Provider
	// Receipts names the function that gets every receipt from then on, and
	// connects so that there can be some. It is called from another goroutine,
	// one receipt at a time. While there is none (nil), the provider is asked to
	// tell again later.
	Receipts(took func(Receipt))
}
