package app

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// statusPatience is how long a page waits for the first look at the readers.
const statusPatience = 2 * time.Second

// look is what the readers see at this moment.
func (s *server) look(r *http.Request) Status {
	ctx, cancel := context.WithTimeout(r.Context(), statusPatience)
	defer cancel()
	select {
	case status, ok := <-s.engine.Watch(ctx):
		if ok {
			return status
		}
	case <-ctx.Done():
	}
	return Status{Problem: problem.New(problem.NoReaderService)}
}

func (s *server) status(r *http.Request, purpose api.Purpose) statusPart {
	return describe(s.look(r), purpose)
}

// with puts what is wrong with the choice of a card beside it.
func (p statusPart) with(n note) statusPart {
	p.Cards.Error = n.error("reader")
	return p
}

// changing is the purpose of the page for people who know their passcode. It
// needs no service and is none of the wire's purposes.
const changing api.Purpose = "change"

// describe says in words what the readers see, and what can be done with it
// for a purpose.
func describe(status Status, purpose api.Purpose) statusPart {
	if status.Problem != nil {
		return statusPart{Box: problemBox(status.Problem).again(purpose)}
	}
	cards := usable(status.Cards)
	switch {
	case len(cards) == 1:
		return describeCard(cards[0], purpose)
	case len(cards) > 1:
		return describeCards(cards, purpose)
	}
	for _, c := range status.Cards {
		if c.State == CardReading {
			return statusPart{Box: statusBox{Title: "Reading your smartcard", Detail: "This takes a moment."}}
		}
		if c.Problem != nil {
			return statusPart{Box: problemBox(c.Problem).again(purpose)}
		}
	}
	return statusPart{Box: problemBox(problem.New(problem.NoCard))}
}

// problemBox says what is wrong. That no card is in the reader is no fault but
// how everybody begins.
func problemBox(p *problem.Problem) statusBox {
	if p.Code == problem.NoCard {
		return statusBox{Title: p.Title, Detail: p.What(), Next: p.Next}
	}
	return statusBox{Kind: "wrong", Title: p.Title, Detail: p.What(), Next: p.Next, Code: p.Code}
}

// again lets the person have the reader looked at once more: nothing tells
// when another program has let go of a card. A reader that is only empty needs
// no button.
func (b statusBox) again(purpose api.Purpose) statusBox {
	if b.Kind != "wrong" {
		return b
	}
	page := map[api.Purpose]string{api.PurposeForgotten: "/forgotten", changing: "/change"}[purpose]
	b.Action = &ui.Button{Text: "Check again", Href: cmp.Or(page, "/"), Variant: "secondary"}
	return b
}

func describeCard(c Card, purpose api.Purpose) statusPart {
	part := statusPart{CanStart: can(c, purpose), Cards: radios([]Card{c})}
	part.Box = statusBox{Kind: "ready", Title: "Your smartcard is in the reader", Card: cardWords(c)}
	switch c.State {
	case CardLocked:
		part.Box.Title = "Your smartcard is locked"
		part.Box.Detail = "It is in the reader and ready to be unlocked."
		if purpose == changing {
			part.Box = problemBox(problem.New(problem.CardLocked))
			part.Box.Action = &ui.Button{Text: "Unlock your smartcard", Href: "/"}
		}
	case CardUnclear:
		part.Box.Detail = map[api.Purpose]string{
			api.PurposeLocked: "This kind of smartcard does not say whether it is locked. If it does not take your passcode, start now.",
			changing:          "You can change its passcode.",
		}[purpose]
	case CardNotLocked:
		part.Box.Title = "Your smartcard is not locked"
		part.Box.Detail = "You can log in with your passcode."
		if c.TriesLeft != nil {
			part.Box.Detail = fmt.Sprintf("You can log in with your passcode. You have %s left before it locks.", tries(*c.TriesLeft))
		}
		switch purpose {
		case api.PurposeForgotten:
			part.Box.Title, part.Box.Detail = "Your smartcard is in the reader", "It is not locked. You can choose a new passcode."
		case api.PurposeLocked:
			part.Box.Action = &ui.Button{Text: "I have forgotten my passcode", Href: "/forgotten", Variant: "secondary"}
		case changing:
			part.Box.Title = "Your smartcard is in the reader"
			if c.TriesLeft != nil {
				part.Box.Detail = fmt.Sprintf("You have %s of your passcode left before it locks.", tries(*c.TriesLeft))
			} else {
				part.Box.Detail = "You can change its passcode."
			}
		}
	}
	if c.Application != "" {
		part.Box.Detail = strings.TrimSpace(part.Box.Detail + " " + oneOfSeveral(c.Application))
	}
	return part
}

// oneOfSeveral says which passcode is meant of a card that has several.
func oneOfSeveral(application string) string {
	return "This smartcard has more than one passcode. This is about the one for " + application + "."
}

func describeCards(cards []Card, purpose api.Purpose) statusPart {
	var fit []Card
	for _, c := range cards {
		if can(c, purpose) {
			fit = append(fit, c)
		}
	}
	if len(fit) == 1 {
		return describeCard(fit[0], purpose)
	}
	if len(fit) == 0 {
		return describeCard(cards[0], purpose)
	}
	return statusPart{CanStart: true, Cards: radios(fit),
		Box: statusBox{Kind: "ready", Title: "There is more than one smartcard", Detail: "Choose yours, or take the others out of their readers."}}
}

// can says whether the journey for a purpose can be started with a card.
func can(c Card, purpose api.Purpose) bool {
	switch purpose {
	case api.PurposeLocked:
		return c.State != CardNotLocked
	case changing:
		return c.State != CardLocked
	}
	return true
}

func radios(cards []Card) ui.Radios {
	r := ui.Radios{Legend: ui.Label{Text: "Which smartcard do you want to use?", Size: "s"}, IDPrefix: "reader", Name: "reader"}
	words := map[CardState]string{CardLocked: "locked", CardNotLocked: "not locked"}
	names := readerNames(cards)
	for _, c := range cards {
		text := cmp.Or(c.Model, "Smartcard")
		if w := words[c.State]; w != "" {
			text += ", " + w
		}
		r.Items = append(r.Items, ui.RadioItem{Value: c.Reader, Text: text, Hint: "In the reader " + names[c.Reader]})
	}
	return r
}

// cardWords say which card is meant.
func cardWords(c Card) string {
	return cmp.Or(c.Model, "Smartcard") + " in the reader " + readerNames([]Card{c})[c.Reader]
}

// slots are what PC/SC on Linux and macOS puts behind a reader's name: the
// reader's number and the slot's.
var slots = regexp.MustCompile(` [0-9A-F]{2} [0-9A-F]{2}$`)

// readerNames are the readers' names as people know them, without the numbers
// unless they alone tell two readers apart.
func readerNames(cards []Card) map[string]string {
	count := map[string]int{}
	for _, c := range cards {
		count[slots.ReplaceAllString(c.Reader, "")]++
	}
	names := map[string]string{}
	for _, c := range cards {
		short := slots.ReplaceAllString(c.Reader, "")
		if count[short] > 1 {
			short = c.Reader
		}
		names[c.Reader] = short
	}
	return names
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// triesWords says how many tries of the security code are left.
func triesWords(n int) string {
	if n == 1 {
		return "You have 1 try left."
	}
	return fmt.Sprintf("You have %d tries left.", n)
}
