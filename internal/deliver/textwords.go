package deliver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"

	"latchkey/internal/api"
	"latchkey/internal/deliver/text"
	"latchkey/internal/problem"
)

// Languages of text messages.
const (
	English = "en"
	Welsh   = "cy"
)

const (
	textSuffix = ".sms.txt"
	// maxTextFile bounds a template file in bytes, maxParts the message that
	// comes of it: a text message of many parts is charged as often.
	maxTextFile = 4 << 10
	maxParts    = 4
	// maxWhere is the longest name of a workstation in a text message: NetBIOS
	// names have 15 characters.
	maxWhere = 20
	// maxWhereDigits is how many digits it may have. Asset numbers have up to
	// eight; with more it could be a telephone number to call.
	maxWhereDigits = 8
)

// textNames are the text messages there are.
func textNames() []string { return []string{kindCode, NoticeReleased, NoticeUnlocked} }

// TextWordsOptions say what text messages are made of.
type TextWordsOptions struct {
	Language string // "" is English
	// Dir is a folder with files such as code.sms.txt that replace our own; ""
	// for none.
	Dir          string
	Organisation string
	Contact      api.Contact
}

// TextWords are the texts of text messages.
type TextWords struct {
	o         TextWordsOptions
	templates map[string]*template.Template
	own       map[string]bool // from the operator's folder
}

// textFill is what the templates see.
type textFill struct {
	Organisation string
	Phone        string // the Registration Authority's
	Code         string // of a code's message
	Where        string // a workstation: a name that cannot carry a link, or "a computer"
	When         string // "15:04"; of notices with the day
	Until        string // of a code's message, "15:19"
}

// NewTextWords reads the templates and tries each. Error: problem.ConfigInvalid
// where one cannot be read or filled in, takes more than 4 parts, or does not
// have the code at its end.
func NewTextWords(o TextWordsOptions) (*TextWords, error) {
	if o.Language == "" {
		o.Language = English
	}
	w := &TextWords{o: o, templates: map[string]*template.Template{}, own: map[string]bool{}}
	if err := w.read(); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, err)
	}
	for _, name := range textNames() {
		if err := w.try(name); err != nil {
			return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("text message %s%s: %w", name, textSuffix, err))
		}
	}
	return w, nil
}

func (w *TextWords) read() error {
	if err := w.checkFolder(); err != nil {
		return err
	}
	for _, name := range textNames() {
		raw, err := wordFiles.ReadFile("words/" + w.o.Language + "/" + name + textSuffix)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there are no text messages in the language %q: want en or cy", w.o.Language)
		}
		if err == nil && w.o.Dir != "" {
			raw, err = w.override(name, raw)
		}
		if err != nil {
			return fmt.Errorf("text message %s: %w", name, err)
		}
		if w.templates[name], err = template.New(name).Option("missingkey=error").Parse(string(raw)); err != nil {
			return fmt.Errorf("text message %s: %w", name, err)
		}
	}
	return nil
}

// override gives the operator's file in place of ours, where there is one.
func (w *TextWords) override(name string, ours []byte) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(w.o.Dir, name+textSuffix))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ours, nil
	case err != nil:
		return nil, err
	case len(raw) > maxTextFile:
		return nil, fmt.Errorf("the file is larger than %d bytes", maxTextFile)
	}
	w.own[name] = true
	return raw, nil
}

// checkFolder refuses a folder that is none, or has a text message that is
// never sent: most likely its name is wrong.
func (w *TextWords) checkFolder() error {
	if w.o.Dir == "" {
		return nil
	}
	files, err := os.ReadDir(w.o.Dir)
	if err != nil {
		return fmt.Errorf("folder of messages: %w", err)
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), textSuffix); ok && !slices.Contains(textNames(), name) {
			return fmt.Errorf("folder of messages: there is no message for %s: want code, released or unlocked", f.Name())
		}
	}
	return nil
}

// try makes sure that a message comes out right.
func (w *TextWords) try(name string) error {
	body, err := w.render(name, w.sample())
	if err != nil {
		return err
	}
	if size := text.Measure(body); size.Parts > maxParts {
		return fmt.Errorf("it takes %d parts, more than %d", size.Parts, maxParts)
	}
	if name == kindCode && !strings.HasSuffix(body, w.sample().Code) {
		return errors.New("the code is not the last of it: put {{.Code}} at its end, where a phone shows it and nobody can miss it")
	}
	if name == kindCode && strings.Count(body, w.sample().Code) != 1 {
		return errors.New("the code is in it more than once")
	}
	return nil
}

// sample is what previews show: a workstation with the longest usual name.
func (w *TextWords) sample() textFill {
	return textFill{Organisation: w.organisation(), Phone: oneLine(w.o.Contact.Phone), Code: "123456", Where: "WARD7-PC0000012",
		When: "15:04", Until: "15:19"}
}

func (w *TextWords) organisation() string { return oneLine(w.o.Organisation) }

// render fills a template in. White space is made single spaces: each costs.
func (w *TextWords) render(name string, fill textFill) (string, error) {
	var out bytes.Buffer
	if err := w.templates[name].Execute(&out, fill); err != nil {
		return "", fmt.Errorf("write a text message: %w", err)
	}
	return strings.Join(strings.Fields(out.String()), " "), nil
}

// code is the message with a security code.
func (w *TextWords) code(c CodeMessage) (string, error) {
	return w.render(kindCode, textFill{Organisation: w.organisation(), Phone: oneLine(w.o.Contact.Phone), Code: c.Code,
		Where: w.where(c.Workstation), When: hour(c.AskedAt), Until: hour(c.ValidUntil)})
}

// notice is a notice.
func (w *TextWords) notice(n NoticeMessage) (string, error) {
	if w.templates[n.Kind] == nil {
		return "", fmt.Errorf("write a text message: there is none for %q", n.Kind)
	}
	return w.render(n.Kind, textFill{Organisation: w.organisation(), Phone: oneLine(w.o.Contact.Phone), Where: w.where(n.Workstation),
		When: hour(n.At) + " " + n.At.Local().Format("2/1/2006")})
}

func hour(at time.Time) string { return at.Local().Format("15:04") }

// where names a workstation. Its name comes from outside, and phones make links
// of what looks like one: only letters, digits and hyphens of its first label
// are shown, and characters that would make the message dearer are not. A name
// that could be a telephone number is not shown at all.
func (w *TextWords) where(workstation string) string {
	label, _, _ := strings.Cut(strings.TrimSpace(workstation), ".")
	label = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_') {
			return r
		}
		return -1
	}, label)
	if digits := strings.FieldsFunc(label, func(r rune) bool { return !unicode.IsDigit(r) }); len(strings.Join(digits, "")) > maxWhereDigits {
		label = ""
	}
	if len(label) > maxWhere {
		label = label[:maxWhere]
	}
	if label == "" && w.o.Language == Welsh {
		return "cyfrifiadur"
	}
	if label == "" {
		return "a computer"
	}
	return label
}

// Preview is a text message as it would be sent.
type Preview struct {
	Name string // "code", "released", "unlocked"
	Own  bool   // from the operator's folder
	Body string
	Size text.Size
}

// Previews gives each text message with sample values.
func (w *TextWords) Previews() ([]Preview, error) {
	var out []Preview
	for _, name := range textNames() {
		fill := w.sample()
		if name != kindCode {
			fill.When += " 31/12/2026"
		}
		body, err := w.render(name, fill)
		if err != nil {
			return nil, err
		}
		out = append(out, Preview{Name: name, Own: w.own[name], Body: body, Size: text.Measure(body)})
	}
	return out, nil
}
