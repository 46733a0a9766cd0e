package demo

import (
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"latchkey/internal/app/browsertest"
	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/deliver/text/webhook"
	"latchkey/internal/face/facetest"
	"latchkey/internal/mailcatcher"
)

// TestPage looks at the demo's own page with an empty inbox and when a message
// arrives. With LATCHKEY_SCREENSHOTS naming a folder it leaves pictures there.
func TestPage(t *testing.T) {
	mail, err := mailcatcher.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mail.Close() })
	texts, err := texttest.StartWebhook(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = texts.Close() })
	d := &demo{mail: mail, texts: texts, how: "in this program, because no smartcard service can be started here"}
	web := httptest.NewServer(d.pages("http://launch.example", "http://origin.example"))
	t.Cleanup(web.Close)

	tab := browsertest.Start(t)
	complaints := browsertest.Complaints(tab)
	look := func(name string) {
		browsertest.CheckAccessibility(t, tab, name)
		if dir := os.Getenv("LATCHKEY_SCREENSHOTS"); dir != "" {
			browsertest.Screenshot(t, tab, 1280, 900, filepath.Join(dir, name+"-1280.png"))
			browsertest.Screenshot(t, tab, 360, 740, filepath.Join(dir, name+"-360.png"))
		}
	}
	browsertest.Do(t, tab, chromedp.Navigate(web.URL))
	browsertest.WaitText(t, tab, "No messages yet.")
	look("demo")

	// The person's place in the page stays when a message arrives.
	browsertest.Do(t, tab, chromedp.Focus(chromedp.CSS("a.button")))
	for _, subject := range []string{"Your smartcard security code is 123 456", "Your smartcard has been unlocked"} {
		message := "To: " + Email + "\r\nSubject: " + subject + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
			"Somebody asked for a security code at ward-7.\r\n\r\nNever read it out to anyone.\r\n"
		if err := smtp.SendMail(mail.Address().String(), nil, "no-reply@example.org", []string{Email}, []byte(message)); err != nil {
			t.Fatal(err)
		}
		browsertest.WaitText(t, tab, subject)
	}
	gateway, err := webhook.New(texts.Options(""))
	if err == nil {
		_, err = gateway.Send(t.Context(), text.Message{To: "+447700900123", Body: "Your smartcard was unlocked at ward-7.", Reference: "r1"})
	}
	if err != nil {
		t.Fatal(err)
	}
	browsertest.WaitText(t, tab, "Text message from Latchkey")
	browsertest.WaitText(t, tab, "To +447700900123, at")
	if !browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.activeElement.matches("a.button")`)) {
		t.Error("the focus is lost")
	}
	look("demo-inbox")
	for _, c := range complaints() {
		t.Errorf("the console says %s", c)
	}
}

// TestPhotoPage looks at the page where the holder's photo is taken, with a
// camera and without one.
func TestPhotoPage(t *testing.T) {
	d := &demo{}
	web := httptest.NewServer(d.pages("http://launch.example", "http://origin.example"))
	t.Cleanup(web.Close)
	tab := browsertest.Start(t)
	complaints := browsertest.Complaints(tab)
	look := func(name string) {
		browsertest.CheckAccessibility(t, tab, name)
		if dir := os.Getenv("LATCHKEY_SCREENSHOTS"); dir != "" {
			browsertest.Screenshot(t, tab, 1280, 900, filepath.Join(dir, name+"-1280.png"))
			browsertest.Screenshot(t, tab, 360, 740, filepath.Join(dir, name+"-360.png"))
		}
	}
	browsertest.Do(t, tab, browsertest.Camera{Fault: "NotFoundError"}.Install(), chromedp.Navigate(web.URL+"/photo"))
	browsertest.WaitText(t, tab, "The camera cannot be used.")
	look("demo-photo-no-camera")
	f := facetest.Named(t, "birch")
	browsertest.Do(t, tab, browsertest.Live(f.Frame, f.FrameFound).Install(), chromedp.Navigate(web.URL+"/photo"))
	browsertest.WaitText(t, tab, "Take the photo")
	browsertest.Get(t, tab, chromedp.Poll[bool](`document.querySelector("video").videoWidth > 0`))
	look("demo-photo")
	for _, c := range complaints() {
		t.Errorf("the console says %s", c)
	}
}
